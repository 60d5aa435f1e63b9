"""How much is measured: enough to trust, or just enough to see that it works."""

import msgspec


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """runs: how often each thing is measured. The others are sizes of single measurements.

    is_smoke: nothing is measured in earnest.
    """

    is_smoke: bool = False
    runs: int
    connections: tuple[int, ...]
    load_s: float
    guest_limit_s: float
    warm_up_s: float
    calls: int
    registrations: int
    stored_executions: tuple[int, ...]
    functions: tuple[int, ...]
    commands: int


FULL = Scale(
    runs=5,
    connections=(1, 8, 32, 128),
    load_s=4.0,
    guest_limit_s=10.0,
    warm_up_s=1.0,
    calls=3_000,
    registrations=50,
    stored_executions=(1_000, 1_000_000, 5_000_000),
    functions=(10, 1_000, 10_000),
    commands=20,
)
SMOKE = Scale(
    is_smoke=True,
    runs=1,
    connections=(1, 8),
    load_s=0.1,
    guest_limit_s=1.0,
    warm_up_s=0.02,
    calls=50,
    registrations=2,
    stored_executions=(100, 1_000),
    functions=(2, 20),
    commands=1,
)

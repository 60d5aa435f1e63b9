"""What requests that are not complete and answers that are not read hold in memory together, and its bound."""

from projectnil.domain.errors import Overloaded
from projectnil.domain.limits import in_units

HOLDING = "projectnil.holding"
# So much every request has for itself: a small one is never turned away for what large ones hold.
FREE_BYTES = 64 * 1024


class TransferMemory:
    """most_bytes: of all requests and answers together, beyond the first 64 KiB of each."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held_bytes = 0

    def take(self, more_bytes: int) -> None:
        """Raises Overloaded when there is no room; nothing is taken then."""
        if more_bytes > 0 and self._held_bytes + more_bytes > self._most_bytes:
            raise Overloaded(
                f"large requests and answers hold all the memory that they may, {in_units(self._most_bytes)} "
                "(PROJECTNIL_HTTP_MEMORY_BYTES); try again"
            )
        self._held_bytes += more_bytes


class Holding:
    """The share of one request: first its body, then its answer."""

    def __init__(self, memory: TransferMemory) -> None:
        self._memory = memory
        self._counted_bytes = 0

    def resize(self, size_bytes: int) -> None:
        """Hold `size_bytes`. Raises Overloaded, and then holds what it held."""
        counted = max(0, size_bytes - FREE_BYTES)
        self._memory.take(counted - self._counted_bytes)
        self._counted_bytes = counted

    def release(self) -> None:
        """Hold nothing more."""
        self.resize(0)

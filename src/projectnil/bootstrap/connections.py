"""How many database connections each kind of process opens."""

from projectnil.config import Settings
from projectnil.postgres.coalescer import MOST_WRITERS

UPKEEP_CONNECTIONS = 2
# Beside the requests': the writes of executions, upkeep, and one that listens.
API_EXTRA_CONNECTIONS = MOST_WRITERS + UPKEEP_CONNECTIONS + 1


def compiler_connections(settings: Settings) -> int:
    """A job is compiled with no connection held; its worker needs one at a time, and one more extends its job."""
    return 2 * settings.compiler_processes + 3

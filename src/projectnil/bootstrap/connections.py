"""How many database connections each kind of process opens."""

from projectnil.compiler.pool import SPARES
from projectnil.config import Settings
from projectnil.postgres.coalescer import MOST_WRITERS

UPKEEP_CONNECTIONS = 2
# Pages of executions. A search for a rare error takes half a second of one.
PAGE_CONNECTIONS = 4
# The writers of executions keep theirs while they are busy; one more looks at what a write left whose answer was lost.
RECORD_CONNECTIONS = MOST_WRITERS + 1
# Beside the requests': the writes of executions, pages of them, upkeep, and one that listens.
API_EXTRA_CONNECTIONS = RECORD_CONNECTIONS + PAGE_CONNECTIONS + UPKEEP_CONNECTIONS + 1


def compiler_connections(settings: Settings) -> int:
    """A job is compiled with no connection held; its worker needs one at a time, and one more extends its job."""
    return 2 * (settings.compiler_processes + SPARES) + 3

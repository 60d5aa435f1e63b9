"""What can go wrong with Postgres, by whose fault it is. Other layers catch these names and no driver's."""

import asyncpg

# The server is gone, or will not have us: the platform's trouble, which may pass.
CONNECTION_ERRORS = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what the driver makes of a connection that breaks at an awkward moment
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)

# The server is there and not ready yet, or no longer: it reads its log after a crash, say.
STARTING_UP = asyncpg.CannotConnectNowError

# What one row can be at fault for, so that the others of its batch deserve a try without it.
ROW_ERRORS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)

# The row that a new one refers to was deleted meanwhile.
PARENT_GONE = asyncpg.ForeignKeyViolationError

# Also what Postgres says when a row fits no partition.
CHECK_VIOLATED = asyncpg.CheckViolationError

# A deadlock or a serialization failure: the same statement may succeed at the next try.
TRY_AGAIN = asyncpg.TransactionRollbackError

# Others have the table, for longer than a statement would wait.
LOCK_TAKEN = asyncpg.LockNotAvailableError

# What a function of the database says with RAISE EXCEPTION.
RAISED = asyncpg.RaiseError

ANY_ERROR = asyncpg.PostgresError

# The server is there and cannot do it: its disk is full, its memory, it is read-only, it gave up. Not the statement's
# fault, and it may pass.
SERVER_TROUBLE = (
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
)

# Whatever is wrong between us and the database.
DATABASE_ERRORS = (*CONNECTION_ERRORS, ANY_ERROR)

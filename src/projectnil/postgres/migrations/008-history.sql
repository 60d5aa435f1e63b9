--liquibase formatted sql logicalFilePath:projectnil/008-history.sql

--changeset projectnil:008-execute-between-others splitStatements:false stripComments:false
-- For a statement that needs a lock on a table in use. While it waits, all that come after it wait too: so it waits for
-- half a second, lets them pass, and tries again, for two minutes.
CREATE FUNCTION execute_between_others(statement text) RETURNS void
    LANGUAGE plpgsql
    SET lock_timeout = '500ms'
AS $$
BEGIN
    FOR attempt IN 1..120 LOOP
        BEGIN
            EXECUTE statement;
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.5);
        END;
    END LOOP;
    RAISE EXCEPTION 'a table is in use for too long by others, so this was not done: %', statement
        USING HINT = 'Try again when their transactions are over. The longest: '
                     'SELECT pid, xact_start, query FROM pg_stat_activity ORDER BY xact_start LIMIT 5.';
END;
$$;
--rollback DROP FUNCTION execute_between_others;

--changeset projectnil:008-execution-revision runInTransaction:false
-- Not in a transaction with others, which would hold up all executions until its end.
SELECT execute_between_others('ALTER TABLE executions ADD COLUMN IF NOT EXISTS revision integer');
COMMENT ON COLUMN executions.revision IS 'the revision of its function that ran; null where it was not recorded yet';
--rollback ALTER TABLE executions DROP COLUMN revision;

--changeset projectnil:008-failed-executions runInTransaction:false
-- By a column that completing an execution does not change: an index on the status, or one whose predicate names it,
-- would make every completion write to all indexes. Both predicates mean FAILED. They differ in words, so that a search
-- in one function is never planned on the index of all: a query that says IS NOT NULL cannot use that one.
-- ONLY: new partitions get theirs when they are made. The platform builds those of partitions that are there already, one
-- by one and concurrently, which no statement of a changeset could do: postgres/partition_indexes.py.
SELECT execute_between_others('CREATE INDEX IF NOT EXISTS executions_failed ON ONLY executions (id) WHERE error_message >= ''''');
SELECT execute_between_others('CREATE INDEX IF NOT EXISTS executions_failed_by_function ON ONLY executions (function_id, id) WHERE error_message IS NOT NULL');
--rollback DROP INDEX executions_failed_by_function; DROP INDEX executions_failed;

--changeset projectnil:008-pending-executions runInTransaction:false
SELECT execute_between_others('CREATE INDEX IF NOT EXISTS executions_pending ON ONLY executions (id) WHERE started_at IS NULL');
--rollback DROP INDEX executions_pending;

--changeset projectnil:008-archived-jobs-by-function runInTransaction:false
-- Concurrently, for an archive may be large. What is left of an attempt that was cut off cannot be used.
DROP INDEX CONCURRENTLY IF EXISTS pgmq.compilation_jobs_archive_by_function;
CREATE INDEX CONCURRENTLY compilation_jobs_archive_by_function ON pgmq.a_compilation_jobs (lower(message ->> 'functionId'));
--rollback DROP INDEX pgmq.compilation_jobs_archive_by_function;

--changeset projectnil:008-archived-results-by-function runInTransaction:false
DROP INDEX CONCURRENTLY IF EXISTS pgmq.compilation_results_archive_by_function;
CREATE INDEX CONCURRENTLY compilation_results_archive_by_function ON pgmq.a_compilation_results (lower(message ->> 'functionId'));
--rollback DROP INDEX pgmq.compilation_results_archive_by_function;

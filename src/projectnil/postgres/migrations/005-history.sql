--liquibase formatted sql logicalFilePath:projectnil/005-history.sql

--changeset projectnil:005-execution-revision
ALTER TABLE executions ADD COLUMN revision integer;
COMMENT ON COLUMN executions.revision IS 'the revision of its function that ran; null where it was not recorded yet';
--rollback ALTER TABLE executions DROP COLUMN revision;

--changeset projectnil:005-failed-executions
-- By a column that completing an execution does not change: an index on the status, or one whose predicate names it,
-- would make every completion write to all indexes. Both predicates mean FAILED. They differ in words, so that a search
-- in one function is never planned on the index of all: a query that says IS NOT NULL cannot use that one.
CREATE INDEX executions_failed ON executions (id) WHERE error_message >= '';
CREATE INDEX executions_failed_by_function ON executions (function_id, id) WHERE error_message IS NOT NULL;
--rollback DROP INDEX executions_failed_by_function; DROP INDEX executions_failed;

--changeset projectnil:005-pending-executions
CREATE INDEX executions_pending ON executions (id) WHERE started_at IS NULL;
--rollback DROP INDEX executions_pending;

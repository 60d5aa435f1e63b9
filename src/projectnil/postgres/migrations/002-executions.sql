--liquibase formatted sql logicalFilePath:projectnil/002-executions.sql

--changeset projectnil:002-execution-status
CREATE TYPE execution_status AS ENUM ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED');
--rollback DROP TYPE execution_status;

--changeset projectnil:002-executions
CREATE TABLE executions (
    id            uuid             PRIMARY KEY DEFAULT uuidv7(),
    function_id   uuid             NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    node_id       uuid,
    status        execution_status NOT NULL DEFAULT 'PENDING',
    input         jsonb,
    output        jsonb,
    error_message text,
    logs          text,
    created_at    timestamptz      NOT NULL DEFAULT now(),
    started_at    timestamptz,
    completed_at  timestamptz,
    CONSTRAINT executions_failed_has_error CHECK (status <> 'FAILED' OR error_message IS NOT NULL),
    CONSTRAINT executions_completed_has_no_error CHECK (status <> 'COMPLETED' OR error_message IS NULL)
) PARTITION BY RANGE (id);
COMMENT ON COLUMN executions.node_id IS 'the api process that runs it; see nodes';
-- No index on a column that changes: completing an execution is then a heap-only update where its page has room.
CREATE INDEX executions_by_function ON executions (function_id, id);
--rollback DROP TABLE executions;

--changeset projectnil:002-execution-partitions splitStatements:false stripComments:false
-- One partition a week (Monday, UTC), named by its first day. A version 7 id begins with 48 bits of Unix time in
-- milliseconds (RFC 9562, section 5.7), so a bound is that prefix followed by zeros.
CREATE FUNCTION execution_id_bound(moment timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT
    RETURN rpad(lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid;

CREATE FUNCTION ensure_execution_partitions(earliest timestamptz, latest timestamptz) RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    week_start  timestamp := date_trunc('week', earliest AT TIME ZONE 'UTC');
    made        integer := 0;
BEGIN
    WHILE week_start <= latest AT TIME ZONE 'UTC' LOOP
        IF to_regclass(format('executions_%s', to_char(week_start, 'YYYYMMDD'))) IS NULL THEN
            -- Taken only when there is something to make: waiting here must not slow a healthy start.
            PERFORM pg_advisory_xact_lock(hashtext('projectnil.execution_partitions'));
            EXECUTE format(
                'CREATE TABLE IF NOT EXISTS %I PARTITION OF executions FOR VALUES FROM (%L) TO (%L)',
                'executions_' || to_char(week_start, 'YYYYMMDD'),
                execution_id_bound(week_start AT TIME ZONE 'UTC'),
                execution_id_bound((week_start + interval '7 days') AT TIME ZONE 'UTC')
            );
            made := made + 1;
        END IF;
        week_start := week_start + interval '7 days';
    END LOOP;
    RETURN made;
END;
$$;

CREATE FUNCTION drop_execution_partitions(before timestamptz) RETURNS SETOF text
    LANGUAGE plpgsql
AS $$
DECLARE
    partition record;
BEGIN
    FOR partition IN
        SELECT child.relname AS name
        FROM pg_inherits
        JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
        WHERE pg_inherits.inhparent = 'executions'::regclass
          AND child.relname ~ '^executions_[0-9]{8}$'
          AND (to_timestamp(right(child.relname, 8), 'YYYYMMDD')::timestamp + interval '7 days') AT TIME ZONE 'UTC'
              <= before
        ORDER BY child.relname
    LOOP
        EXECUTE format('DROP TABLE %I', partition.name);
        RETURN NEXT partition.name;
    END LOOP;
END;
$$;
--rollback DROP FUNCTION drop_execution_partitions; DROP FUNCTION ensure_execution_partitions; DROP FUNCTION execution_id_bound;

--liquibase formatted sql logicalFilePath:projectnil/006-adoption.sql

--changeset projectnil:006-places splitStatements:false stripComments:false
-- Where a row stands among others, by time. A version 7 id says so itself. Another id gets the milliseconds of the row's
-- creation in place of its first 48 bits, and keeps the rest, so that places differ as ids do.
CREATE FUNCTION id_place(id uuid, created_at timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE uuid_extract_version(id)
        WHEN 7 THEN id
        ELSE (lpad(to_hex(floor(extract(epoch FROM created_at) * 1000)::bigint), 12, '0')
              || '4' || substr(replace(id::text, '-', ''), 14))::uuid
    END;
CREATE INDEX functions_by_place ON functions (id_place(id, created_at));
--rollback DROP INDEX functions_by_place; DROP FUNCTION id_place;

--changeset projectnil:006-partition-of-adopted-executions splitStatements:false stripComments:false
-- Adopted executions are in the default partition, which is large, and is never looked through for a new week: a constraint
-- says that it holds nothing of the next hundred years. Ids of version 4 are random, so one in a hundred names a moment
-- of those. They are in a small partition that begins where the weeks end, and a new week is cut off from it.
CREATE FUNCTION ensure_partitions_beside_adopted(earliest timestamptz, latest timestamptz) RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    bounds   text[];
    made     integer;
    end_id   uuid := execution_id_bound(
        (date_trunc('week', latest AT TIME ZONE 'UTC') + interval '7 days') AT TIME ZONE 'UTC');
BEGIN
    bounds := bounds_of_adopted_ahead();
    IF bounds[1]::uuid < end_id AND end_id < bounds[2]::uuid THEN
        LOCK TABLE executions IN ACCESS EXCLUSIVE MODE;
        bounds := bounds_of_adopted_ahead();  -- another process may have been faster
    END IF;
    IF (bounds[1]::uuid < end_id AND end_id < bounds[2]::uuid) IS NOT TRUE THEN
        RETURN ensure_execution_partitions(earliest, latest);
    END IF;
    ALTER TABLE executions DETACH PARTITION executions_adopted_ahead;
    made := ensure_execution_partitions(least(earliest, moment_of_execution_id(bounds[1]::uuid)), latest);
    INSERT INTO executions SELECT * FROM executions_adopted_ahead WHERE id < end_id;
    DELETE FROM executions_adopted_ahead WHERE id < end_id;
    EXECUTE format(
        'ALTER TABLE executions ATTACH PARTITION executions_adopted_ahead FOR VALUES FROM (%L) TO (%L)',
        end_id, bounds[2]
    );
    RETURN made;
END;
$$;

CREATE FUNCTION bounds_of_adopted_ahead() RETURNS text[]
    LANGUAGE sql STABLE
    RETURN (SELECT regexp_match(pg_get_expr(relpartbound, oid), $re$FROM \('([0-9a-f-]+)'\) TO \('([0-9a-f-]+)'\)$re$)
            FROM pg_class WHERE oid = to_regclass('executions_adopted_ahead'));

CREATE FUNCTION moment_of_execution_id(id uuid) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT
    RETURN to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0);

CREATE FUNCTION drop_adopted_executions(before timestamptz) RETURNS SETOF text
    LANGUAGE plpgsql
AS $$
BEGIN
    -- Each condition has its index; new rows are among the adopted ones where no week was made for them.
    IF EXISTS (SELECT FROM executions_adopted
               WHERE uuid_extract_version(id) IS DISTINCT FROM 7 AND id_place(id, created_at) >= execution_id_bound(before))
       OR EXISTS (SELECT FROM executions_adopted
                  WHERE id >= execution_id_bound(before) AND id < execution_id_bound(now() + interval '1 year')
                    AND uuid_extract_version(id) = 7)
       OR EXISTS (SELECT FROM executions_adopted_ahead WHERE id_place(id, created_at) >= execution_id_bound(before)) THEN
        RETURN;
    END IF;
    DROP TABLE executions_adopted, executions_adopted_ahead;
    RETURN NEXT 'executions_adopted';
    RETURN NEXT 'executions_adopted_ahead';
END;
$$;
--rollback DROP FUNCTION drop_adopted_executions; DROP FUNCTION ensure_partitions_beside_adopted;
--rollback DROP FUNCTION moment_of_execution_id; DROP FUNCTION bounds_of_adopted_ahead;

--changeset projectnil:006-adopted-rows splitStatements:false stripComments:false
-- The rows that 000-predecessor.sql set aside. Where one is not what the constraints ask for, it is made so.
DO $$
DECLARE
    interrupted constant text := 'interrupted: the platform stopped before it finished';
    ahead uuid := execution_id_bound(date_trunc('week', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC');
    end_of_ahead uuid := execution_id_bound(
        date_trunc('week', (now() + interval '100 years') AT TIME ZONE 'UTC') AT TIME ZONE 'UTC');
BEGIN
    IF to_regclass('projectnil_predecessor.functions') IS NULL THEN
        RETURN;
    END IF;
    PERFORM set_config('TimeZone', 'UTC', true);
    INSERT INTO functions
        (id, name, description, language, source, wasm_binary, status, compile_error, created_at, updated_at)
    SELECT id, coalesce(nullif(name, ''), 'unnamed'), description, coalesce(language, ''), coalesce(source, ''),
           CASE WHEN status::text = 'READY' THEN wasm_binary END,
           CASE WHEN status::text = 'READY' AND wasm_binary IS NULL THEN 'FAILED' ELSE status::text END::function_status,
           CASE
               WHEN status::text = 'FAILED' THEN coalesce(compile_error, 'the compiler gave no reason')
               WHEN status::text = 'READY' AND wasm_binary IS NULL THEN 'its module was lost; send the source again'
           END,
           coalesce(created_at, updated_at, now()), coalesce(updated_at, created_at, now())
    FROM projectnil_predecessor.functions;

    IF to_regclass('projectnil_predecessor.executions') IS NOT NULL THEN
        EXECUTE format(
            'CREATE TABLE executions_adopted PARTITION OF executions '
            '(CONSTRAINT executions_adopted_is_not_ahead CHECK (id < %L OR id >= %L)) DEFAULT',
            ahead, end_of_ahead
        );
        EXECUTE format(
            'CREATE TABLE executions_adopted_ahead PARTITION OF executions FOR VALUES FROM (%L) TO (%L)',
            ahead, end_of_ahead
        );
        INSERT INTO executions
            (id, function_id, status, input, output, error_message, created_at, started_at, completed_at)
        SELECT id, function_id,
               CASE WHEN status::text IN ('PENDING', 'RUNNING') THEN 'FAILED' ELSE status::text END::execution_status,
               input, output,
               CASE
                   WHEN status::text IN ('PENDING', 'RUNNING') THEN interrupted
                   WHEN status::text = 'FAILED' THEN coalesce(error_message, 'no reason was recorded')
               END,
               coalesce(created_at, started_at, now()), started_at,
               CASE WHEN status::text IN ('PENDING', 'RUNNING') THEN now() ELSE completed_at END
        FROM projectnil_predecessor.executions
        WHERE function_id IN (SELECT id FROM functions);
    END IF;
    DROP SCHEMA projectnil_predecessor CASCADE;
END;
$$;
--rollback empty

--changeset projectnil:006-places-of-adopted-executions splitStatements:false stripComments:false
-- For pages of what has no place by its id. On the whole table, for some of them move to the weeks.
DO $$
BEGIN
    IF to_regclass('executions_adopted') IS NOT NULL THEN
        CREATE INDEX IF NOT EXISTS executions_adopted_by_place ON executions (id_place(id, created_at))
            WHERE uuid_extract_version(id) IS DISTINCT FROM 7;
        CREATE INDEX IF NOT EXISTS executions_adopted_by_function ON executions (function_id, id_place(id, created_at))
            WHERE uuid_extract_version(id) IS DISTINCT FROM 7;
    END IF;
END;
$$;
--rollback DROP INDEX IF EXISTS executions_adopted_by_function; DROP INDEX IF EXISTS executions_adopted_by_place;

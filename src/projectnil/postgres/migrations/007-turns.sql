--liquibase formatted sql logicalFilePath:projectnil/007-turns.sql

--changeset projectnil:007-compile-costs
CREATE TABLE compile_costs (
    function_id       uuid             PRIMARY KEY REFERENCES functions (id) ON DELETE CASCADE,
    revision          integer          NOT NULL,
    duration_ms       double precision,
    cpu_ms            double precision,
    peak_memory_bytes bigint,
    tries             integer          NOT NULL,
    total_duration_ms double precision NOT NULL,
    total_cpu_ms      double precision NOT NULL,
    is_slow           boolean          NOT NULL,
    served_until      timestamptz      NOT NULL
);
COMMENT ON TABLE compile_costs IS 'what compiling each function has cost the platform''s own compilers';
COMMENT ON COLUMN compile_costs.revision IS 'of the function at the last try, which duration_ms, cpu_ms and peak_memory_bytes are of';
COMMENT ON COLUMN compile_costs.tries IS 'compilations begun, also those that were put aside; the totals are of all of them';
COMMENT ON COLUMN compile_costs.is_slow IS 'the last try was slow, so that the next one waits for the slow lane';
COMMENT ON COLUMN compile_costs.served_until IS 'others go first until then: each second of compiling adds ten';
CREATE TABLE slow_sources (
    source_sha256 bytea       PRIMARY KEY,
    seen_at       timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE slow_sources IS 'sources whose compilation was slow, by SHA-256 of language, line feed, source';
ALTER TABLE compilations ADD COLUMN slow boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN compilations.slow IS 'a compiler of the platform took the job in its slow lane';
--rollback ALTER TABLE compilations DROP COLUMN slow; DROP TABLE slow_sources; DROP TABLE compile_costs;

--changeset projectnil:007-compilation-turns
CREATE TABLE compilation_turns (
    job_id        bigint      PRIMARY KEY,
    language      text        NOT NULL,
    function_id   uuid,
    source_sha256 bytea,
    slow          boolean     NOT NULL,
    turn_at       timestamptz NOT NULL,
    enqueued_at   timestamptz NOT NULL
);
COMMENT ON TABLE compilation_turns IS 'whose turn it is among the jobs of compilation_jobs; written by a trigger of the queue';
COMMENT ON COLUMN compilation_turns.turn_at IS 'jobs are taken in this order; it may lie ahead, and is not waited for';
COMMENT ON COLUMN compilation_turns.enqueued_at IS 'of the job: a queue that was dropped and created again reuses ids';
CREATE INDEX compilation_turns_in_order ON compilation_turns (language, slow, turn_at, job_id);
CREATE INDEX compilation_turns_by_function ON compilation_turns (function_id, turn_at);
CREATE INDEX compilation_turns_by_source ON compilation_turns (source_sha256);
--rollback DROP TABLE compilation_turns;

--changeset projectnil:007-give-turns splitStatements:false stripComments:false
-- Give a job its turn. One function's jobs come one after the other, as far apart as one takes: of a function of ours
-- only the newest revision is compiled, and jobs of older ones cost next to nothing.
CREATE FUNCTION give_turn(message_id bigint, job jsonb, sent_at timestamptz) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    job_language text := left(coalesce(job ->> 'language', ''), 100);
    job_source   bytea := sha256(convert_to(job_language || E'\n' || coalesce(job ->> 'source', ''), 'UTF8'));
    job_function uuid;
    costs        compile_costs;
    is_slow      boolean;
    spacing      interval;
BEGIN
    IF job ->> 'functionId' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        job_function := (job ->> 'functionId')::uuid;
    END IF;
    SELECT * INTO costs FROM compile_costs WHERE function_id = job_function;
    is_slow := coalesce(costs.is_slow, false)
        OR EXISTS (SELECT FROM slow_sources WHERE source_sha256 = job_source);
    spacing := CASE
        WHEN EXISTS (SELECT FROM functions WHERE id = job_function) THEN interval '0.1 seconds'
        WHEN is_slow THEN interval '30 seconds'
        ELSE interval '3 seconds'
    END;
    DELETE FROM compilation_turns WHERE job_id = message_id;
    INSERT INTO compilation_turns (job_id, language, function_id, source_sha256, slow, enqueued_at, turn_at)
    VALUES (message_id, job_language, job_function, job_source, is_slow, sent_at,
            greatest(clock_timestamp(), costs.served_until,
                     (SELECT max(turn_at) FROM compilation_turns WHERE function_id = job_function) + spacing));
END;
$$;
CREATE FUNCTION give_compilation_turn() RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
AS $$
BEGIN
    CASE TG_OP
        WHEN 'DELETE' THEN DELETE FROM compilation_turns WHERE job_id = OLD.msg_id;
        WHEN 'TRUNCATE' THEN DELETE FROM compilation_turns;
        ELSE PERFORM give_turn(NEW.msg_id, NEW.message, NEW.enqueued_at);
    END CASE;
    RETURN NULL;
END;
$$;
-- The same whatever path the migration had: only the schema of these tables.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION give_turn(bigint, jsonb, timestamptz) SET search_path = %I, pg_temp',
                   current_schema());
    EXECUTE format('ALTER FUNCTION give_compilation_turn() SET search_path = %I, pg_temp', current_schema());
END;
$$;
CREATE TRIGGER give_compilation_turn AFTER INSERT OR DELETE OR UPDATE OF message ON pgmq.q_compilation_jobs
    FOR EACH ROW EXECUTE FUNCTION give_compilation_turn();
CREATE TRIGGER give_compilation_turns AFTER TRUNCATE ON pgmq.q_compilation_jobs
    FOR EACH STATEMENT EXECUTE FUNCTION give_compilation_turn();
--rollback DROP TRIGGER give_compilation_turns ON pgmq.q_compilation_jobs; DROP TRIGGER give_compilation_turn ON pgmq.q_compilation_jobs; DROP FUNCTION give_compilation_turn; DROP FUNCTION give_turn;

--changeset projectnil:007-turns-of-waiting-jobs splitStatements:false stripComments:false
-- Jobs that are in the queue already, in the order in which they came.
DO $$
BEGIN
    PERFORM give_turn(msg_id, message, enqueued_at)
    FROM (
        SELECT msg_id, message, enqueued_at FROM pgmq.q_compilation_jobs
        WHERE NOT EXISTS (SELECT FROM compilation_turns WHERE job_id = msg_id)
        ORDER BY msg_id FOR NO KEY UPDATE
    ) AS waiting;
END;
$$;
--rollback DELETE FROM compilation_turns;

--changeset projectnil:007-slow-activity
CREATE INDEX compilations_by_slow_reading ON compilations (last_read_at) WHERE slow;
CREATE INDEX compilations_by_slow_removal ON compilations (removed_at) WHERE slow;
--rollback DROP INDEX compilations_by_slow_removal; DROP INDEX compilations_by_slow_reading;

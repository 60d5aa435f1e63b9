--liquibase formatted sql logicalFilePath:projectnil/006-compilations.sql

--changeset projectnil:006-compilations
CREATE TABLE compilations (
    job_id            bigint      PRIMARY KEY,
    function_id       uuid        NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    revision          integer     NOT NULL,
    published_at      timestamptz NOT NULL DEFAULT now(),
    reads             integer     NOT NULL DEFAULT 0,
    first_read_at     timestamptz,
    last_read_at      timestamptz,
    quiet_at          timestamptz,
    removed_at        timestamptz,
    answered_at       timestamptz,
    in_doubt          boolean     NOT NULL DEFAULT false,
    taken_by_platform boolean     NOT NULL DEFAULT false
);
COMMENT ON TABLE compilations IS 'every job of compilation_jobs, and what became of it; written by a trigger of the queue';
COMMENT ON COLUMN compilations.revision IS 'of the function when the job was sent; 0: older than the function''s revisions';
COMMENT ON COLUMN compilations.quiet_at IS 'a reader that has not answered by then is taken for dead';
COMMENT ON COLUMN compilations.answered_at IS 'when the result that settled the job was sent';
COMMENT ON COLUMN compilations.in_doubt IS 'a result may have been this job''s or another''s, so one more may come';
CREATE INDEX compilations_by_function ON compilations (function_id, job_id);
--rollback DROP TABLE compilations;

--changeset projectnil:006-record-jobs splitStatements:false stripComments:false
-- Whoever sends, reads or removes a job leaves a trace here, also one that knows nothing of this table.
CREATE FUNCTION record_job() RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
AS $$
DECLARE
    job_function functions;
    job_revision integer;
BEGIN
    IF TG_OP = 'DELETE' THEN
        -- pgmq.pop removes what is not hidden: its taker works on it, beside those who read it before.
        UPDATE compilations
        SET removed_at = clock_timestamp(),
            reads = CASE WHEN OLD.vt <= clock_timestamp() THEN reads + 1 ELSE greatest(reads, 1) END,
            first_read_at = coalesce(first_read_at, now())
        WHERE job_id = OLD.msg_id;
        RETURN NULL;
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE compilations
        SET reads = NEW.read_ct,
            first_read_at = CASE WHEN NEW.read_ct > 0 THEN coalesce(first_read_at, now()) END,
            last_read_at = CASE WHEN NEW.read_ct > OLD.read_ct THEN clock_timestamp() ELSE last_read_at END,
            -- A reader is given twice the time that it asked for.
            quiet_at = greatest(quiet_at, NEW.vt + (NEW.vt - clock_timestamp()))
        WHERE job_id = NEW.msg_id;
        RETURN NULL;
    END IF;
    IF (NEW.message ->> 'functionId' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$') IS NOT TRUE THEN
        RETURN NULL;
    END IF;
    SELECT * INTO job_function FROM functions WHERE id = (NEW.message ->> 'functionId')::uuid;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    job_revision := CASE
        WHEN NEW.headers ->> 'revision' ~ '^[1-9][0-9]{0,8}$' THEN (NEW.headers ->> 'revision')::integer
        WHEN NEW.message ->> 'revision' ~ '^[1-9][0-9]{0,8}$' THEN (NEW.message ->> 'revision')::integer
        WHEN NEW.message ->> 'source' = job_function.source AND NEW.message ->> 'language' = job_function.language
            THEN job_function.revision
        ELSE 0
    END;
    -- A queue that was dropped and made again counts from 1 again.
    DELETE FROM compilations WHERE job_id = NEW.msg_id;
    INSERT INTO compilations (job_id, function_id, revision, reads)
    VALUES (NEW.msg_id, job_function.id, job_revision, NEW.read_ct);
    RETURN NULL;
EXCEPTION WHEN foreign_key_violation THEN
    RETURN NULL;  -- the function was deleted just now
END;
$$;
-- The same whatever path the migration had: only the schema of these tables.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION record_job() SET search_path = %I, pg_temp', current_schema());
END;
$$;
CREATE TRIGGER record_job AFTER INSERT OR DELETE OR UPDATE OF read_ct, vt ON pgmq.q_compilation_jobs
    FOR EACH ROW EXECUTE FUNCTION record_job();
--rollback DROP TRIGGER record_job ON pgmq.q_compilation_jobs; DROP FUNCTION record_job;

--changeset projectnil:006-jobs-under-way splitStatements:false stripComments:false
-- Jobs that are in the queue already; the trigger may have seen the last of them. One without a revision is of the
-- function's own if it has its source.
INSERT INTO compilations (job_id, function_id, revision, published_at, reads, first_read_at, last_read_at, quiet_at)
SELECT job.msg_id, functions.id,
       CASE
           WHEN job.message ->> 'revision' ~ '^[1-9][0-9]{0,8}$' THEN (job.message ->> 'revision')::integer
           WHEN job.message ->> 'source' = functions.source THEN functions.revision
           ELSE 0
       END,
       job.enqueued_at, job.read_ct,
       CASE WHEN job.read_ct > 0 THEN job.enqueued_at END,
       CASE WHEN job.read_ct > 0 THEN now() END,
       CASE WHEN job.read_ct > 0 THEN greatest(job.vt, now()) END
FROM pgmq.q_compilation_jobs AS job
JOIN functions ON functions.id::text = lower(job.message ->> 'functionId')
ON CONFLICT DO NOTHING;
-- Jobs that a compiler has removed, and whose results wait to be applied: as many of each function's newest.
INSERT INTO compilations
    (job_id, function_id, revision, published_at, reads, first_read_at, last_read_at, removed_at)
SELECT msg_id, function_id, revision, enqueued_at, read_ct, enqueued_at, enqueued_at, archived_at
FROM (
    SELECT job.msg_id, job.enqueued_at, greatest(job.read_ct, 1) AS read_ct, job.archived_at,
           functions.id AS function_id,
           CASE
               WHEN job.message ->> 'revision' ~ '^[1-9][0-9]{0,8}$' THEN (job.message ->> 'revision')::integer
               WHEN job.message ->> 'source' = functions.source THEN functions.revision
               ELSE 0
           END AS revision,
           row_number() OVER (PARTITION BY functions.id ORDER BY job.msg_id DESC) AS age,
           results.waiting
    FROM pgmq.a_compilation_jobs AS job
    JOIN functions ON functions.id::text = lower(job.message ->> 'functionId')
    JOIN (
        SELECT lower(message ->> 'functionId') AS function_id, count(*) AS waiting
        FROM pgmq.q_compilation_results GROUP BY 1
    ) AS results ON results.function_id = functions.id::text
    WHERE functions.status IN ('PENDING', 'COMPILING')
      -- An archive may be large, and has an index by this. A compiler archives a job at about the time of its result.
      AND job.archived_at >= (SELECT min(enqueued_at) - interval '1 day' FROM pgmq.q_compilation_results)
) AS removed
WHERE age <= waiting
ON CONFLICT DO NOTHING;
--rollback DELETE FROM compilations;

--changeset projectnil:006-messages-by-function
CREATE INDEX compilation_jobs_by_function ON pgmq.q_compilation_jobs (lower(message ->> 'functionId'));
CREATE INDEX compilation_results_by_function ON pgmq.q_compilation_results (lower(message ->> 'functionId'));
--rollback DROP INDEX pgmq.compilation_jobs_by_function;
--rollback DROP INDEX pgmq.compilation_results_by_function;

--changeset projectnil:006-compilation-activity
CREATE INDEX compilations_by_reading ON compilations (last_read_at);
CREATE INDEX compilations_by_removal ON compilations (removed_at);
--rollback DROP INDEX compilations_by_removal; DROP INDEX compilations_by_reading;

--changeset projectnil:006-postponed-jobs
CREATE INDEX postponed_compilation_jobs ON pgmq.q_compilation_jobs (msg_id) WHERE headers @@ 'exists($.postponements)';
--rollback DROP INDEX pgmq.postponed_compilation_jobs;

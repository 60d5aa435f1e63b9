--liquibase formatted sql logicalFilePath:projectnil/009-jobs.sql

--changeset projectnil:009-malformed-jobs splitStatements:false stripComments:false
-- record_job cannot tell by its source which revision a job without one is of, and takes it for one of an older source.
-- If its function waits for no other job, it is what the function waits for, which fails with it.
CREATE FUNCTION record_malformed_job() RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
AS $$
BEGIN
    UPDATE compilations AS job
    SET revision = functions.revision
    FROM functions
    WHERE job.job_id = NEW.msg_id AND job.revision = 0 AND functions.id = job.function_id
      AND NOT EXISTS (
          SELECT FROM compilations AS other
          WHERE other.function_id = job.function_id AND other.revision = functions.revision
            AND other.answered_at IS NULL
      );
    RETURN NULL;
END;
$$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION record_malformed_job() SET search_path = %I, pg_temp', current_schema());
END;
$$;
-- After record_job: triggers of one event fire in the order of their names.
CREATE TRIGGER record_malformed_job AFTER INSERT ON pgmq.q_compilation_jobs
    FOR EACH ROW
    WHEN (jsonb_typeof(NEW.message -> 'source') IS DISTINCT FROM 'string'
          OR jsonb_typeof(NEW.message -> 'language') IS DISTINCT FROM 'string')
    EXECUTE FUNCTION record_malformed_job();
--rollback DROP TRIGGER record_malformed_job ON pgmq.q_compilation_jobs; DROP FUNCTION record_malformed_job;

--changeset projectnil:009-malformed-jobs-under-way
-- Those that were in the queue before: the newest of each function.
UPDATE compilations AS job
SET revision = functions.revision
FROM functions
WHERE functions.id = job.function_id AND job.revision = 0 AND job.answered_at IS NULL
  AND job.job_id IN (
      SELECT max(msg_id) FROM pgmq.q_compilation_jobs
      WHERE jsonb_typeof(message -> 'source') IS DISTINCT FROM 'string'
         OR jsonb_typeof(message -> 'language') IS DISTINCT FROM 'string'
      GROUP BY lower(message ->> 'functionId')
  )
  AND NOT EXISTS (
      SELECT FROM compilations AS other
      WHERE other.function_id = job.function_id AND other.revision = functions.revision AND other.answered_at IS NULL
  );
--rollback SELECT 1;

--changeset projectnil:009-functions-without-jobs
-- Functions that wait for a job that is not there, as the system before could leave them: their sources are queued.
SELECT pgmq.send(
    'compilation_jobs',
    jsonb_build_object('functionId', functions.id, 'language', functions.language, 'source', functions.source),
    jsonb_build_object('revision', functions.revision)
)
FROM functions
WHERE status IN ('PENDING', 'COMPILING')
  AND NOT EXISTS (SELECT FROM compilations WHERE function_id = functions.id AND answered_at IS NULL)
  AND NOT EXISTS (SELECT FROM pgmq.q_compilation_jobs WHERE lower(message ->> 'functionId') = functions.id::text)
  AND NOT EXISTS (SELECT FROM pgmq.q_compilation_results WHERE lower(message ->> 'functionId') = functions.id::text);
--rollback SELECT 1;

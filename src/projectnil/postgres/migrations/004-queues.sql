--liquibase formatted sql logicalFilePath:projectnil/004-queues.sql

--changeset projectnil:004-pgmq splitStatements:false stripComments:false
-- pgmq is a server's extension, or its SQL was installed as a plain schema beforehand (`pnil migrate` does that).
DO $$
BEGIN
    IF to_regclass('pgmq.meta') IS NOT NULL THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pgmq') THEN
        RAISE EXCEPTION 'this server offers no pgmq extension'
            USING HINT = 'Install pgmq 1.8 or later, or run "pnil migrate", which brings its SQL.';
    END IF;
    IF (SELECT string_to_array(default_version, '.')::integer[] < ARRAY[1, 8]
        FROM pg_available_extensions WHERE name = 'pgmq') THEN
        RAISE EXCEPTION 'this server offers pgmq %, and projectnil needs 1.8 or later',
            (SELECT default_version FROM pg_available_extensions WHERE name = 'pgmq');
    END IF;
    CREATE EXTENSION pgmq;
END;
$$;
--rollback empty

--changeset projectnil:004-queues
SELECT pgmq.create('compilation_jobs');
SELECT pgmq.create('compilation_results');
--rollback SELECT pgmq.drop_queue('compilation_jobs');
--rollback SELECT pgmq.drop_queue('compilation_results');

--changeset projectnil:004-queue-notification splitStatements:false stripComments:false
-- pgmq's own notification keeps its state in an unlogged table, which a crash of the server empties; this one has
-- none. The channel is the queue's name.
CREATE FUNCTION notify_queue() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_notify(substring(TG_TABLE_NAME FROM 3), '');
    RETURN NULL;
END;
$$;
CREATE TRIGGER notify_queue AFTER INSERT ON pgmq.q_compilation_jobs
    FOR EACH STATEMENT EXECUTE FUNCTION notify_queue();
CREATE TRIGGER notify_queue AFTER INSERT ON pgmq.q_compilation_results
    FOR EACH STATEMENT EXECUTE FUNCTION notify_queue();
--rollback DROP TRIGGER notify_queue ON pgmq.q_compilation_jobs; DROP TRIGGER notify_queue ON pgmq.q_compilation_results; DROP FUNCTION notify_queue;

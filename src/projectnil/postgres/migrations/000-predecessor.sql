--liquibase formatted sql logicalFilePath:projectnil/000-predecessor.sql

--changeset projectnil:000-set-aside splitStatements:false stripComments:false
-- The system that projectnil comes from has tables and types of the same names. They are set aside here, so that this
-- release makes its own, and 006-adoption.sql takes over their rows. The queues are the same, and stay.
DO $$
DECLARE
    name text;
BEGIN
    IF (SELECT count(*) FROM pg_attribute
        WHERE attrelid = to_regclass('functions') AND NOT attisdropped
          AND attname IN ('source', 'wasm_binary', 'compile_error')) < 3
       OR EXISTS (SELECT FROM pg_attribute
                  WHERE attrelid = to_regclass('functions') AND NOT attisdropped AND attname = 'revision') THEN
        RETURN;
    END IF;
    CREATE SCHEMA projectnil_predecessor;
    FOREACH name IN ARRAY ARRAY['functions', 'executions'] LOOP
        IF to_regclass(name) IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %I SET SCHEMA projectnil_predecessor', name);
        END IF;
    END LOOP;
    FOREACH name IN ARRAY ARRAY['function_status', 'execution_status'] LOOP
        IF to_regtype(name) IS NOT NULL THEN
            EXECUTE format('ALTER TYPE %I SET SCHEMA projectnil_predecessor', name);
        END IF;
    END LOOP;
END;
$$;
--rollback empty

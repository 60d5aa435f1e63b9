--liquibase formatted sql logicalFilePath:projectnil/001-functions.sql

--changeset projectnil:001-function-status
CREATE TYPE function_status AS ENUM ('PENDING', 'COMPILING', 'READY', 'FAILED');
--rollback DROP TYPE function_status;

--changeset projectnil:001-functions
CREATE TABLE functions (
    id            uuid            PRIMARY KEY DEFAULT uuidv7(),
    name          text            NOT NULL,
    description   text,
    language      text            NOT NULL,
    source        text            NOT NULL,
    wasm_binary   bytea,
    wasm_sha256   text            GENERATED ALWAYS AS (encode(sha256(wasm_binary), 'hex')) STORED,
    status        function_status NOT NULL DEFAULT 'PENDING',
    compile_error text,
    revision      integer         NOT NULL DEFAULT 1,
    created_at    timestamptz     NOT NULL DEFAULT now(),
    updated_at    timestamptz     NOT NULL DEFAULT now(),
    CONSTRAINT functions_name_length CHECK (char_length(name) BETWEEN 1 AND 255),
    CONSTRAINT functions_ready_has_binary CHECK (status <> 'READY' OR wasm_binary IS NOT NULL),
    CONSTRAINT functions_failed_has_error CHECK (status <> 'FAILED' OR compile_error IS NOT NULL)
);
COMMENT ON COLUMN functions.revision IS 'counts changes of source or language; travels in both queue messages';
CREATE INDEX functions_by_name ON functions (name, id);
--rollback DROP TABLE functions;

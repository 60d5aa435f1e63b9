-- The schema of the system that projectnil comes from, as its Liquibase leaves it, and some rows of each kind.
CREATE TYPE function_status AS ENUM ('PENDING', 'COMPILING', 'READY', 'FAILED');
CREATE TYPE execution_status AS ENUM ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED');
CREATE TABLE functions (
    id            uuid            NOT NULL DEFAULT gen_random_uuid(),
    name          varchar(255)    NOT NULL,
    description   text,
    language      varchar(50)     NOT NULL,
    source        text            NOT NULL,
    wasm_binary   bytea,
    status        function_status NOT NULL DEFAULT 'PENDING',
    compile_error text,
    created_at    timestamptz     NOT NULL DEFAULT now(),
    updated_at    timestamptz     NOT NULL DEFAULT now(),
    CONSTRAINT functions_pkey PRIMARY KEY (id)
);
CREATE INDEX idx_functions_name ON functions (name);
CREATE INDEX idx_functions_status ON functions (status);
CREATE TABLE executions (
    id            uuid             NOT NULL DEFAULT gen_random_uuid(),
    function_id   uuid             NOT NULL,
    input         jsonb,
    output        jsonb,
    status        execution_status NOT NULL DEFAULT 'PENDING',
    error_message text,
    started_at    timestamptz,
    completed_at  timestamptz,
    created_at    timestamptz      NOT NULL DEFAULT now(),
    CONSTRAINT executions_pkey PRIMARY KEY (id),
    CONSTRAINT fk_executions_function FOREIGN KEY (function_id) REFERENCES functions (id) ON DELETE CASCADE
);
CREATE INDEX idx_executions_function_id ON executions (function_id);
CREATE INDEX idx_executions_status ON executions (status);
SELECT pgmq.create('compilation_jobs');
SELECT pgmq.create('compilation_results');

CREATE TABLE databasechangelog (
    id varchar(255) NOT NULL, author varchar(255) NOT NULL, filename varchar(255) NOT NULL,
    dateexecuted timestamp NOT NULL, orderexecuted integer NOT NULL, exectype varchar(10) NOT NULL,
    md5sum varchar(35), description varchar(255), comments varchar(255), tag varchar(255),
    liquibase varchar(20), contexts varchar(255), labels varchar(255), deployment_id varchar(10)
);
CREATE TABLE databasechangeloglock (
    id integer NOT NULL, locked boolean NOT NULL, lockgranted timestamp, lockedby varchar(255),
    CONSTRAINT databasechangeloglock_pkey PRIMARY KEY (id)
);
INSERT INTO databasechangeloglock (id, locked) VALUES (1, false);
INSERT INTO databasechangelog (id, author, filename, dateexecuted, orderexecuted, exectype, md5sum, liquibase)
SELECT changeset, 'projectnil', 'changelog/' || file, now(), row_number() OVER (), 'EXECUTED', '9:' || md5(changeset), '5.0'
FROM (VALUES
    ('001-create-function-status-enum', '001-create-functions-table.yaml'),
    ('001-create-functions-table', '001-create-functions-table.yaml'),
    ('002-create-execution-status-enum', '002-create-executions-table.yaml'),
    ('002-create-executions-table', '002-create-executions-table.yaml'),
    ('003-create-pgmq-queues', '003-setup-pgmq-queues.yaml')
) AS changesets (changeset, file);

-- A function in each state, the first the newest.
INSERT INTO functions (name, language, source, status, wasm_binary, compile_error, created_at)
SELECT state::text, 'assemblyscript', 'source of ' || state, state,
       CASE WHEN state = 'READY' THEN '\x0061736d01000000'::bytea END,
       CASE WHEN state = 'FAILED' THEN 'no good' END,
       now() - interval '30 days' - make_interval(days => position::integer)
FROM unnest(enum_range(NULL::function_status)) WITH ORDINALITY AS states (state, position);
-- Executions in each state, and many that are over; the first the newest.
INSERT INTO executions (function_id, input, output, status, error_message, started_at, completed_at, created_at)
SELECT functions.id, jsonb_build_object('was', state, 'number', number),
       CASE WHEN state = 'COMPLETED' THEN '{"n": 1.10}'::jsonb END, state,
       CASE WHEN state = 'FAILED' THEN 'trapped' END, now(), now(),
       now() - interval '30 days' - make_interval(hours => number, mins => position::integer)
FROM functions, unnest(enum_range(NULL::execution_status)) WITH ORDINALITY AS states (state, position),
     generate_series(1, 40) AS number
WHERE functions.name = 'READY' AND (number = 1 OR state IN ('COMPLETED', 'FAILED'));
-- The job of one waits; that of the other is done, and its result waits. It had an older source first.
SELECT pgmq.send('compilation_jobs', jsonb_build_object('functionId', id, 'language', language, 'source', source))
FROM functions WHERE name = 'PENDING';
SELECT pgmq.archive('compilation_jobs', msg_id)
FROM (
    SELECT pgmq.send('compilation_jobs', jsonb_build_object('functionId', id, 'language', language, 'source', sent)) AS msg_id
    FROM functions, (VALUES ('an older source'), ('source of COMPILING')) AS sources (sent)
    WHERE name = 'COMPILING' OFFSET 0
) AS sent;
SELECT pgmq.send('compilation_results', jsonb_build_object(
    'functionId', id, 'success', true, 'wasmBinary', encode('\x0061736d'::bytea || ' of COMPILING'::bytea, 'base64'), 'error', NULL))
FROM functions WHERE name = 'COMPILING';

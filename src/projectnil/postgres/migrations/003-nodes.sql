--liquibase formatted sql logicalFilePath:projectnil/003-nodes.sql

--changeset projectnil:003-nodes
CREATE TABLE nodes (
    id                  uuid        PRIMARY KEY,
    role                text        NOT NULL,
    languages           text[]      NOT NULL DEFAULT '{}',
    started_at          timestamptz NOT NULL DEFAULT now(),
    lease_expires_at    timestamptz NOT NULL,
    oldest_execution_id uuid,
    CONSTRAINT nodes_role CHECK (role IN ('api', 'compiler')),
    CONSTRAINT nodes_api_has_oldest_execution CHECK (role <> 'api' OR oldest_execution_id IS NOT NULL)
);
COMMENT ON TABLE nodes IS 'the processes that are alive; a lapsed lease means its process died';
COMMENT ON COLUMN nodes.oldest_execution_id IS 'nothing this node still runs is older';
--rollback DROP TABLE nodes;

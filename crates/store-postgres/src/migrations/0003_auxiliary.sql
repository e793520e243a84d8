-- Snapshots and checkpoints.

CREATE TABLE snapshots (
    stream text COLLATE "C" NOT NULL,
    fold text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    taken_at bigint NOT NULL,
    content_type text COLLATE "C" NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (stream, fold, version)
);

ALTER TABLE snapshots ALTER COLUMN payload SET STORAGE EXTERNAL;

-- A row stays when its checkpoint is removed, so that revisions never start over.
CREATE TABLE checkpoints (
    name text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL,
    cursor text COLLATE "C"
) WITH (fillfactor = 50);

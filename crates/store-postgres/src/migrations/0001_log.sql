-- The log: its head, its events, and what of each stream is shown.
--
-- Every object lives in one schema, which is first on the search path while this file runs. Times are microseconds
-- since 1970 in UTC, so that none is out of range; `to_timestamp(appended_at / 1e6)` shows one.

-- Where the log ends. Whoever appends locks this row first, so that positions are given in the order of commits.
CREATE TABLE log (
    id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    position bigint NOT NULL,
    appended_at bigint NOT NULL
) WITH (fillfactor = 10);

INSERT INTO log (position, appended_at) VALUES (0, -9223372036854775808);

CREATE TABLE events (
    position bigint PRIMARY KEY,
    version bigint NOT NULL,
    appended_at bigint NOT NULL,
    -- When it happened, where the application said; else `appended_at`.
    recorded_at bigint,
    -- The size of the event as pages and limits count it.
    bytes integer NOT NULL,
    schema_version bigint NOT NULL,
    -- How many events the append has of which this is the first.
    append_events integer,
    id uuid NOT NULL UNIQUE,
    stream text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    content_type text COLLATE "C" NOT NULL,
    -- None rather than an empty array, so that the index of tags has no entry for it.
    tags text[] COLLATE "C" CHECK (tags <> '{}'),
    correlation_id text COLLATE "C",
    causation_id text COLLATE "C",
    -- Names and values of the headers, as a JSON object of strings.
    headers jsonb,
    -- Of the first event of an append: its identity, and the SHA-256 of what it said.
    append_id text COLLATE "C",
    append_content bytea,
    payload bytea NOT NULL,
    UNIQUE (stream, version) INCLUDE (position)
);

-- Compressing costs more than it saves for small payloads, and codecs compress large ones.
ALTER TABLE events ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE UNIQUE INDEX events_append_id ON events (append_id) WHERE append_id IS NOT NULL;
CREATE INDEX events_tags ON events USING gin (tags) WHERE tags IS NOT NULL;

-- Where events of a type or of a category stand: an entry for each block of 32 positions that has any, in place of an
-- entry for each event. Block `b` is the positions from `32 * b` to `32 * b + 31`.
CREATE TABLE blocks (
    -- `t` for a type, `c` for a category.
    kind "char" NOT NULL CHECK (kind IN ('t', 'c')),
    name text COLLATE "C" NOT NULL,
    block bigint NOT NULL,
    PRIMARY KEY (kind, name, block)
);

-- What of a stream is shown; a stream without a row is open and shows everything.
CREATE TABLE stream_policies (
    stream text COLLATE "C" PRIMARY KEY,
    -- 0 open, 1 soft-deleted, 2 tombstoned
    state smallint NOT NULL CHECK (state IN (0, 1, 2)),
    truncate_before bigint NOT NULL,
    -- In seconds.
    max_age numeric(29, 9),
    max_count numeric(20, 0)
);

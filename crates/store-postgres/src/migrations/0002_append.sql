-- Appending: many commands in one call, each with an answer of its own.

-- Whether an event of these types, with all of these tags, that reads show stands after `since`. For a place
-- close to the head: the events after it are looked at one by one, and the plan is made once.
CREATE FUNCTION occurred_lately(
    since bigint, of_types text[], with_tags text[], at_time bigint
) RETURNS boolean
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    RETURN EXISTS (
        SELECT
        FROM (SELECT * FROM events newer WHERE newer.position > since ORDER BY newer.position OFFSET 0) e
        WHERE (of_types IS NULL OR e.type = ANY (of_types))
            AND (with_tags IS NULL OR e.tags @> with_tags)
            AND (NOT EXISTS (SELECT FROM stream_policies) OR coalesce((
                SELECT p.state = 0
                    AND e.version >= p.truncate_before
                    AND (p.max_age IS NULL OR at_time::numeric - e.appended_at <= p.max_age * 1000000)
                    AND (p.max_count IS NULL OR (
                        SELECT h.version FROM events h WHERE h.stream = e.stream ORDER BY h.version DESC LIMIT 1
                    ) - e.version < p.max_count)
                FROM stream_policies p WHERE p.stream = e.stream
            ), true))
    );
END
$$;

-- The same for any place: planned each time, for what is asked. Types alone are looked for in their blocks.
CREATE FUNCTION occurred(
    since bigint, of_types text[], with_tags text[], at_time bigint
) RETURNS boolean
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN EXISTS (
        SELECT
        FROM (
            SELECT c.*
            FROM unnest(CASE WHEN with_tags IS NULL THEN of_types END) t(name)
            JOIN blocks b ON b.kind = 't' AND b.name = t.name AND b.block >= since / 32
            JOIN events c ON c.position BETWEEN b.block * 32 AND b.block * 32 + 31 AND c.type = t.name
            WHERE c.position > since
            UNION ALL
            SELECT c.*
            FROM events c
            WHERE c.position > since
                AND (with_tags IS NOT NULL OR of_types IS NULL)
                AND (of_types IS NULL OR c.type = ANY (of_types))
                AND (with_tags IS NULL OR c.tags @> with_tags)
        ) e
        WHERE NOT EXISTS (SELECT FROM stream_policies) OR coalesce((
            SELECT p.state = 0
                AND e.version >= p.truncate_before
                AND (p.max_age IS NULL OR at_time::numeric - e.appended_at <= p.max_age * 1000000)
                AND (p.max_count IS NULL OR (
                    SELECT h.version FROM events h WHERE h.stream = e.stream ORDER BY h.version DESC LIMIT 1
                ) - e.version < p.max_count)
            FROM stream_policies p WHERE p.stream = e.stream
        ), true)
    );
END
$$;

-- Records the commands that may be recorded, in their order, in one step.
--
-- The commands are lists of equal length, and so are their expectations (of written and of checked streams), the items
-- of their conditions, the event ids that the application chose, and the events; each of these names its command by
-- its place, from 1. An event has its place among the call's events of its stream, from 1. An expectation is a version, or -1 for any state, -2 for no stream, -3 for a stream that exists.
-- Types and tags of an item are array literals, or nothing for any. Whoever calls sees to it that no command bears on
-- the judgement of a later one.
--
-- Gives the position and the time of the log before the call's events and at them; an answer for each command
-- (0 recorded, 1 recorded before with this content, 2 before with another, 3 refused); and for each expectation the
-- version that the stream had.
--
-- Its statements are planned once for each session, and perhaps while the log is empty: so each looks up one row after
-- the other in an index, whatever the planner believes of the tables. `OFFSET 0` keeps a look-up from becoming a join.
CREATE FUNCTION append(
    command_ids text[], command_contents bytea[], command_events integer[],
    expected_commands integer[], expected_streams text[], expected_versions bigint[],
    condition_commands integer[], condition_sinces bigint[], condition_types text[], condition_tags text[],
    given_commands integer[], given_ids uuid[],
    event_commands integer[], event_expectations integer[], event_ordinals integer[], event_streams text[],
    event_ids uuid[], event_types text[],
    event_schema_versions bigint[], event_content_types text[], event_tags text[], event_correlations text[],
    event_causations text[], event_headers text[], event_recorded bigint[], event_bytes integer[],
    event_payloads bytea[], event_append_ids text[],
    at_time bigint, bell text,
    OUT head bigint, OUT appended bigint, OUT answers integer[], OUT versions bigint[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    failed integer[];
    command integer;
    reopens boolean;
    recorded bigint;
    places bigint[];
    ordinals bigint[];
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'appending takes READ COMMITTED, not %', upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    -- In a statement of its own: every later one sees all that was committed before the lock was had.
    SELECT l.position, l.appended_at INTO STRICT head, appended FROM log l WHERE l.id = 1 FOR UPDATE;
    appended := greatest(appended, coalesce(at_time, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint));

    SELECT array_agg(
            CASE
                WHEN e.append_id IS NULL THEN 0
                WHEN e.append_content = c.content AND e.append_events = c.events THEN 1
                ELSE 2
            END ORDER BY c.place)
        INTO answers
        FROM unnest(command_ids, command_contents, command_events) WITH ORDINALITY c(id, content, events, place)
        LEFT JOIN LATERAL (
            SELECT r.append_id, r.append_content, r.append_events FROM events r WHERE r.append_id = c.id OFFSET 0
        ) e ON true;

    SELECT array_agg(x.version ORDER BY x.place),
            array_agg(x.command) FILTER (WHERE NOT x.holds),
            coalesce(bool_or(x.state = 1), false)
        INTO versions, failed, reopens
        FROM (
            SELECT w.place, w.command, coalesce(v.version, 0) AS version, p.state,
                CASE
                    WHEN p.state = 2 THEN false
                    WHEN w.expected = -1 THEN true
                    WHEN w.expected = -2 THEN v.version IS NULL OR p.state IS NOT DISTINCT FROM 1
                    WHEN w.expected = -3 THEN v.version IS NOT NULL AND p.state IS DISTINCT FROM 1
                    ELSE coalesce(v.version, 0) = w.expected AND p.state IS DISTINCT FROM 1
                END AS holds
            FROM unnest(expected_commands, expected_streams, expected_versions)
                WITH ORDINALITY w(command, stream, expected, place)
            LEFT JOIN LATERAL (
                SELECT e.version FROM events e WHERE e.stream = w.stream ORDER BY e.version DESC LIMIT 1
            ) v ON true
            LEFT JOIN LATERAL (
                SELECT s.state FROM stream_policies s WHERE s.stream = w.stream OFFSET 0
            ) p ON true
        ) x;

    IF cardinality(given_ids) > 0 THEN
        failed := coalesce(failed, '{}') || ARRAY (
            SELECT g.command FROM unnest(given_commands, given_ids) g(command, id)
            WHERE EXISTS (SELECT FROM events e WHERE e.id = g.id OFFSET 0)
        );
    END IF;
    FOREACH command IN ARRAY coalesce(failed, '{}') LOOP
        IF answers[command] = 0 THEN
            answers[command] := 3;
        END IF;
    END LOOP;
    FOR item IN 1 .. cardinality(condition_commands) LOOP
        command := condition_commands[item];
        CONTINUE WHEN answers[command] <> 0;
        IF condition_sinces[item] > head THEN
            answers[command] := 3;
        ELSIF head - condition_sinces[item] <= 1000 THEN
            IF occurred_lately(
                condition_sinces[item], condition_types[item]::text[], condition_tags[item]::text[], appended)
            THEN
                answers[command] := 3;
            END IF;
        ELSIF occurred(
            condition_sinces[item], condition_types[item]::text[], condition_tags[item]::text[], appended)
        THEN
            answers[command] := 3;
        END IF;
    END LOOP;

    -- Where every command is recorded, an event's places are those that the client counted.
    IF 0 <> ANY (answers) THEN
        SELECT array_agg(p.place_in_log ORDER BY p.place), array_agg(p.place_in_stream ORDER BY p.place)
            INTO places, ordinals
            FROM (
                SELECT e.place, count(*) FILTER (WHERE answers[e.command] = 0) OVER (ORDER BY e.place) AS place_in_log,
                    count(*) FILTER (WHERE answers[e.command] = 0)
                        OVER (PARTITION BY e.stream ORDER BY e.place) AS place_in_stream
                FROM unnest(event_commands, event_streams) WITH ORDINALITY e(command, stream, place)
            ) p;
    END IF;

    INSERT INTO events (
        position, version, appended_at, recorded_at, bytes, schema_version, append_events, id, stream, type,
        content_type, tags, correlation_id, causation_id, headers, append_id, append_content, payload)
    SELECT head + coalesce(places[e.place], e.place),
        versions[e.expectation] + coalesce(ordinals[e.place], e.ordinal),
        appended, e.recorded, e.bytes, e.schema_version,
        CASE WHEN e.append_id IS NOT NULL THEN command_events[e.command] END, e.id, e.stream, e.type,
        e.content_type, e.tags::text[], e.correlation, e.causation, e.headers::jsonb, e.append_id,
        CASE WHEN e.append_id IS NOT NULL THEN command_contents[e.command] END, e.payload
    FROM unnest(
        event_commands, event_expectations, event_ordinals, event_streams, event_ids, event_types,
        event_schema_versions, event_content_types, event_tags, event_correlations, event_causations, event_headers,
        event_recorded, event_bytes, event_payloads, event_append_ids
    ) WITH ORDINALITY e(
        command, expectation, ordinal, stream, id, type, schema_version, content_type, tags, correlation, causation,
        headers, recorded, bytes, payload, append_id, place)
    WHERE answers[e.command] = 0;

    GET DIAGNOSTICS recorded = ROW_COUNT;
    IF recorded > 0 THEN
        UPDATE log l SET position = head + recorded, appended_at = appended WHERE l.id = 1;
        INSERT INTO blocks (kind, name, block)
            SELECT DISTINCT n.kind, n.name, (head + coalesce(places[e.place], e.place)) / 32
            FROM unnest(event_commands, event_types, event_streams) WITH ORDINALITY e(command, type, stream, place)
            CROSS JOIN LATERAL (VALUES ('t'::"char", e.type), ('c', split_part(e.stream, '-', 1))) n(kind, name)
            WHERE answers[e.command] = 0
            ON CONFLICT DO NOTHING;
        IF reopens THEN
            UPDATE stream_policies p SET state = 0
                FROM unnest(event_commands, event_streams) w(command, stream)
                WHERE p.stream = w.stream AND p.state = 1 AND answers[w.command] = 0;
        END IF;
        IF bell IS NOT NULL THEN
            PERFORM pg_notify(bell, (head + recorded)::text);
        END IF;
    END IF;
END
$$;

-- The last position after `since`, up to `until`, whose event was recorded before this time; `since` where there is
-- none. Positions are dense, and times never go back.
CREATE FUNCTION last_before(at_time bigint, since bigint, until bigint) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
AS $$
DECLARE
    low bigint := since;
    high bigint := greatest(since, until);
    middle bigint;
BEGIN
    WHILE low < high LOOP
        middle := low + (high - low + 1) / 2;
        IF (SELECT e.appended_at FROM events e WHERE e.position = middle) < at_time THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;

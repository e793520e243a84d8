-- Appending again, with less of the server's time for each event.
--
-- The function of before stays for processes that were started before this step and end after it: both may append to
-- one log.

-- Whether an expectation holds of a stream with this version, or none, and this state of its policy, or none.
CREATE FUNCTION holds(expected bigint, version bigint, state smallint) RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE
        WHEN state = 2 THEN false
        WHEN expected = -1 THEN true
        WHEN expected = -2 THEN version IS NULL OR state IS NOT DISTINCT FROM 1
        WHEN expected = -3 THEN version IS NOT NULL AND state IS DISTINCT FROM 1
        ELSE coalesce(version, 0) = expected AND state IS DISTINCT FROM 1
    END
$$;

-- Records the commands that may be recorded, in their order, in one step.
--
-- The commands are lists of equal length, and so are their expectations (of written and of checked streams), the items
-- of their conditions, and the event ids that the application chose; each of these names its command by its place, from
-- 1. An expectation is a version, or -1 for any state, -2 for no stream, -3 for a stream that exists. Types and tags of
-- an item are array literals, or nothing for any. Whoever calls sees to it that no command bears on the judgement of a
-- later one.
--
-- An event names the expectation of its stream by its place. Of the lists of events, those of ids, sizes, payloads and
-- expectations are as long as there are events. Types, versions of schemas and content types have one entry where all
-- events have the same. The others end at their last entry that is not nothing. The ordinals are the places of events
-- among the call's events of their streams, from 1; the list is empty where these are their places in the call.
--
-- A run is events one after the other, from the place of its first to that of its last, of one type and one category.
--
-- Gives the position and the time of the log before the call's events and at them; an answer for each command
-- (0 recorded, 1 recorded before with this content, 2 before with another, 3 refused); and for each expectation the
-- version that the stream had.
--
-- Its statements are planned once for each session, and perhaps while the log is empty: so each looks up one row after
-- the other in an index, whatever the planner believes of the tables. `OFFSET 0` keeps a look-up from becoming a join.
-- Lists of events are looked into by place: unnested, each column of each event would be a row of its own first.
CREATE FUNCTION append(
    command_ids text[], command_contents bytea[], command_events integer[],
    expected_commands integer[], expected_streams text[], expected_versions bigint[],
    condition_commands integer[], condition_sinces bigint[], condition_types text[], condition_tags text[],
    given_commands integer[], given_ids uuid[],
    event_expectations integer[], event_ordinals integer[], event_ids uuid[], event_types text[],
    event_schema_versions bigint[], event_content_types text[], event_tags text[], event_correlations text[],
    event_causations text[], event_headers text[], event_recorded bigint[], event_bytes integer[],
    event_payloads bytea[], event_append_ids text[],
    run_types text[], run_categories text[], run_firsts integer[], run_lasts integer[],
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
    answer integer;
    version_found bigint;
    state_found smallint;
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

    -- One command on one stream, as most are, takes a fraction of what lists take to set up.
    IF cardinality(command_ids) = 1 AND cardinality(expected_commands) = 1 THEN
        SELECT (
                SELECT CASE
                    WHEN r.append_content = command_contents[1] AND r.append_events = command_events[1] THEN 1
                    ELSE 2
                END
                FROM events r WHERE r.append_id = command_ids[1]
            ),
            (SELECT e.version FROM events e WHERE e.stream = expected_streams[1] ORDER BY e.version DESC LIMIT 1),
            (SELECT s.state FROM stream_policies s WHERE s.stream = expected_streams[1])
            INTO answer, version_found, state_found;
        answers := ARRAY[coalesce(answer, 0)];
        versions := ARRAY[coalesce(version_found, 0)];
        reopens := coalesce(state_found = 1, false);
        IF NOT holds(expected_versions[1], version_found, state_found) THEN
            failed := '{1}';
        END IF;
    ELSE
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
                    holds(w.expected, v.version, p.state) AS holds
                FROM unnest(expected_commands, expected_streams, expected_versions)
                    WITH ORDINALITY w(command, stream, expected, place)
                LEFT JOIN LATERAL (
                    SELECT e.version FROM events e WHERE e.stream = w.stream ORDER BY e.version DESC LIMIT 1
                ) v ON true
                LEFT JOIN LATERAL (
                    SELECT s.state FROM stream_policies s WHERE s.stream = w.stream OFFSET 0
                ) p ON true
            ) x;
    END IF;

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
                SELECT e.place, count(*) FILTER (WHERE answers[expected_commands[e.expectation]] = 0)
                        OVER (ORDER BY e.place) AS place_in_log,
                    count(*) FILTER (WHERE answers[expected_commands[e.expectation]] = 0)
                        OVER (PARTITION BY expected_streams[e.expectation] ORDER BY e.place) AS place_in_stream
                FROM unnest(event_expectations) WITH ORDINALITY e(expectation, place)
            ) p;
    END IF;

    INSERT INTO events (
        position, version, appended_at, recorded_at, bytes, schema_version, append_events, id, stream, type,
        content_type, tags, correlation_id, causation_id, headers, append_id, append_content, payload)
    SELECT head + coalesce(places[e.place], e.place),
        versions[e.expectation] + coalesce(ordinals[e.place], event_ordinals[e.place], e.place),
        appended, event_recorded[e.place], event_bytes[e.place],
        coalesce(event_schema_versions[e.place], event_schema_versions[1]),
        CASE WHEN event_append_ids[e.place] IS NOT NULL THEN command_events[expected_commands[e.expectation]] END,
        event_ids[e.place], expected_streams[e.expectation], coalesce(event_types[e.place], event_types[1]),
        coalesce(event_content_types[e.place], event_content_types[1]), event_tags[e.place]::text[],
        event_correlations[e.place], event_causations[e.place], event_headers[e.place]::jsonb, event_append_ids[e.place],
        CASE WHEN event_append_ids[e.place] IS NOT NULL THEN command_contents[expected_commands[e.expectation]] END,
        event_payloads[e.place]
    FROM (
        SELECT i.place, event_expectations[i.place] AS expectation
        FROM generate_series(1, cardinality(event_expectations)) i(place)
    ) e
    WHERE places IS NULL OR answers[expected_commands[e.expectation]] = 0;

    GET DIAGNOSTICS recorded = ROW_COUNT;
    IF recorded > 0 THEN
        UPDATE log l SET position = head + recorded, appended_at = appended WHERE l.id = 1;
        IF cardinality(run_types) = 1 THEN
            INSERT INTO blocks (kind, name, block)
                SELECT n.kind, n.name, b.block
                FROM generate_series((head + 1) / 32, (head + recorded) / 32) b(block)
                CROSS JOIN LATERAL (VALUES ('t'::"char", run_types[1]), ('c', run_categories[1])) n(kind, name)
                ON CONFLICT DO NOTHING;
        ELSE
            INSERT INTO blocks (kind, name, block)
                SELECT DISTINCT n.kind, n.name, b.block
                FROM (
                    SELECT r.type, r.category, coalesce(places[r.first - 1], r.first - 1) AS before,
                        coalesce(places[r.last], r.last) AS last
                    FROM unnest(run_types, run_categories, run_firsts, run_lasts) r(type, category, first, last)
                ) r
                CROSS JOIN LATERAL generate_series((head + r.before + 1) / 32, (head + r.last) / 32) b(block)
                CROSS JOIN LATERAL (VALUES ('t'::"char", r.type), ('c', r.category)) n(kind, name)
                WHERE r.last > r.before
                ON CONFLICT DO NOTHING;
        END IF;
        IF reopens THEN
            UPDATE stream_policies p SET state = 0
                FROM unnest(event_expectations) w(expectation)
                WHERE p.stream = expected_streams[w.expectation] AND p.state = 1
                    AND answers[expected_commands[w.expectation]] = 0;
        END IF;
        IF bell IS NOT NULL THEN
            PERFORM pg_notify(bell, (head + recorded)::text);
        END IF;
    END IF;
END
$$;

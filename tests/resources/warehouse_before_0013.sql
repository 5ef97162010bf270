-- The warehouse at commit 3a2161e, before migration 0013: `pg_dump --column-inserts --rows-per-insert=50`, without the
-- comments of pg_dump. The pipeline of that commit loaded files of sales into the bucket `upgraded`: two loaded, one
-- refused, one duplicate, one of no dataset, one loaded and not settled. The tables that these do not fill have rows by
-- INSERT: messages, alerts, results of checks, a source, a lock, a column, a view.
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

CREATE SCHEMA analytics;

ALTER SCHEMA analytics OWNER TO warehouse_owner;

CREATE SCHEMA load;

ALTER SCHEMA load OWNER TO warehouse_owner;

CREATE SCHEMA ops;

ALTER SCHEMA ops OWNER TO warehouse_owner;

CREATE SCHEMA raw;

ALTER SCHEMA raw OWNER TO warehouse_owner;

CREATE SCHEMA staging;

ALTER SCHEMA staging OWNER TO warehouse_owner;

CREATE FUNCTION ops.count_rows(p_dataset text) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    counted bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM raw.%I', p_dataset) INTO counted;
    RETURN counted;
END $$;

ALTER FUNCTION ops.count_rows(p_dataset text) OWNER TO warehouse_owner;

CREATE FUNCTION ops.ensure_dataset(p_dataset text, p_columns jsonb, p_key text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    col record;
    known record;
    is_new boolean;
    type_pattern constant text :=
        '^(text|bigint|double precision|boolean|date|timestamp|timestamptz|jsonb|uuid|numeric\([0-9]+,[0-9]+\))$';
BEGIN
    IF p_dataset !~ '^[a-z][a-z0-9_]{0,49}$' THEN
        RAISE EXCEPTION 'not a dataset name: %', p_dataset;
    END IF;
    INSERT INTO ops.dataset_lock (dataset) VALUES (p_dataset) ON CONFLICT DO NOTHING;
    PERFORM FROM ops.dataset_lock WHERE dataset = p_dataset FOR UPDATE;
    is_new := to_regclass(format('raw.%I', p_dataset)) IS NULL;
    IF is_new THEN
        EXECUTE format(
            -- Room in each page lets an update stay in its page and spare the index: half the time of a merge.
            'CREATE TABLE raw.%I (_file_id bigint NOT NULL, _source_row bigint NOT NULL, '
            '_loaded_at timestamptz NOT NULL, _rescued jsonb) WITH (fillfactor = 80)', p_dataset
        );
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON raw.%I TO ingest', p_dataset);
        EXECUTE format('GRANT SELECT ON raw.%I TO transform, reader', p_dataset);
    END IF;
    FOR col IN SELECT * FROM jsonb_to_recordset(p_columns) AS c (name text, type text, required boolean)
    LOOP
        IF col.type !~ type_pattern OR NOT ops.is_column_name(col.name) THEN
            RAISE EXCEPTION 'not a column: % %', col.name, col.type;
        END IF;
        SELECT format_type(atttypid, atttypmod) AS type INTO known
        FROM pg_attribute
        WHERE attrelid = to_regclass(format('raw.%I', p_dataset)) AND attname = col.name AND NOT attisdropped;
        IF NOT FOUND THEN
            -- COLLATE "C" on text: keys compare as bytes, a sixth faster, and the same on every machine.
            EXECUTE format('ALTER TABLE raw.%I ADD COLUMN %I %s%s%s', p_dataset, col.name, col.type,
                CASE WHEN col.type = 'text' THEN ' COLLATE "C"' ELSE '' END,
                CASE WHEN col.name = ANY (p_key) THEN ' NOT NULL' ELSE '' END);
        ELSIF ops.type_widens(known.type, col.type) THEN
            EXECUTE format('ALTER TABLE raw.%I ALTER COLUMN %I TYPE %s%s', p_dataset, col.name, col.type,
                CASE WHEN col.type = 'text' THEN ' COLLATE "C"' ELSE '' END);
        END IF;
    END LOOP;
    IF is_new THEN
        EXECUTE format('ALTER TABLE raw.%I ADD PRIMARY KEY (%s)', p_dataset,
            (SELECT string_agg(format('%I', k), ', ' ORDER BY ord) FROM unnest(p_key) WITH ORDINALITY AS u (k, ord)));
    END IF;
END $_$;

ALTER FUNCTION ops.ensure_dataset(p_dataset text, p_columns jsonb, p_key text[]) OWNER TO warehouse_owner;

CREATE FUNCTION ops.forget_alerts(p_keep interval) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    forgotten bigint;
BEGIN
    IF p_keep IS NULL OR p_keep < interval '1 minute' THEN
        RAISE EXCEPTION 'not a time to keep alerts: %', p_keep;
    END IF;
    DELETE FROM ops.alert
    WHERE cause <> '' AND greatest(told_until, told_at, failed_at) < now() - p_keep;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END $$;

ALTER FUNCTION ops.forget_alerts(p_keep interval) OWNER TO warehouse_owner;

CREATE FUNCTION ops.forget_file_events(p_keep interval, p_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    forgotten bigint;
BEGIN
    IF p_keep IS NULL OR p_keep < interval '1 minute' THEN
        RAISE EXCEPTION 'not a time to keep events: %', p_keep;
    END IF;
    DELETE FROM ops.file_event
    WHERE event_id IN (
        SELECT event.event_id FROM ops.file_event AS event
        INNER JOIN ops.file_ingestion_log AS entry ON event.file_id = entry.file_id
        WHERE event.happened_at < now() - p_keep AND entry.settled_at < now() - p_keep
        LIMIT p_most
    );
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END $$;

ALTER FUNCTION ops.forget_file_events(p_keep interval, p_most integer) OWNER TO warehouse_owner;

CREATE FUNCTION ops.forget_quality_results(p_keep_days integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    forgotten bigint;
BEGIN
    IF p_keep_days IS NULL OR p_keep_days < 1 THEN
        RAISE EXCEPTION 'not a number of days: %', p_keep_days;
    END IF;
    DELETE FROM ops.quality_result
    WHERE file_id IS NULL AND checked_at < now() - make_interval(days => p_keep_days);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END $$;

ALTER FUNCTION ops.forget_quality_results(p_keep_days integer) OWNER TO warehouse_owner;

CREATE FUNCTION ops.header_hash(p_header text) RETURNS bytea
    LANGUAGE sql IMMUTABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT sha256(convert_to(p_header, 'UTF8'))
$$;

ALTER FUNCTION ops.header_hash(p_header text) OWNER TO warehouse_owner;

CREATE FUNCTION ops.is_column_name(p_name text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    SELECT octet_length(p_name) <= 63 AND p_name IS NFC NORMALIZED
        AND p_name ~ '^[A-Za-z_\u0080-\U0010FFFF][A-Za-z0-9_\u0080-\U0010FFFF]*$'
$_$;

ALTER FUNCTION ops.is_column_name(p_name text) OWNER TO warehouse_owner;

CREATE FUNCTION ops.keep_history() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO ops.file_event (file_id, status, stage, attempts, error_code, error_message, dag_id, run_id)
    VALUES (NEW.file_id, NEW.status, NEW.stage, NEW.attempts, NEW.error_code, NEW.error_message, NEW.dag_id, NEW.run_id);
    RETURN NULL;
END $$;

ALTER FUNCTION ops.keep_history() OWNER TO warehouse_owner;

CREATE FUNCTION ops.note_lock_wait(p_file_id bigint, p_message text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
INSERT INTO ops.file_event (file_id, status, stage, attempts, error_code, error_message, dag_id, run_id)
SELECT file_id, status, stage, attempts, 'waiting-for-loader', p_message, dag_id, run_id
FROM ops.file_ingestion_log
WHERE file_id = p_file_id AND settled_at IS NULL
$$;

ALTER FUNCTION ops.note_lock_wait(p_file_id bigint, p_message text) OWNER TO warehouse_owner;

CREATE FUNCTION ops.note_replaced_versions(p_file_id bigint, p_messages text[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    INSERT INTO ops.file_event (file_id, status, stage, attempts, error_code, error_message, dag_id, run_id)
    SELECT e.file_id, e.status, e.stage, e.attempts, 'replaced-before-claim', m.message, e.dag_id, e.run_id
    FROM ops.file_ingestion_log AS e CROSS JOIN unnest(p_messages) WITH ORDINALITY AS m (message, place)
    WHERE e.file_id = p_file_id AND e.settled_at IS NULL AND NOT EXISTS (
        SELECT FROM ops.file_event AS known
        WHERE known.file_id = e.file_id AND known.error_code = 'replaced-before-claim'
        AND known.error_message = m.message
    )
    ORDER BY m.place
$$;

ALTER FUNCTION ops.note_replaced_versions(p_file_id bigint, p_messages text[]) OWNER TO warehouse_owner;

CREATE FUNCTION ops.type_widens(p_from text, p_to text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
SELECT CASE
    WHEN p_to = 'text' THEN p_from ~ '^character varying(\([0-9]+\))?$'
    WHEN p_to = 'bigint' THEN p_from IN ('smallint', 'integer')
    WHEN p_from ~ '^numeric\([0-9]+,[0-9]+\)$' AND p_to ~ '^numeric\([0-9]+,[0-9]+\)$' THEN
        split_part(p_from, ',', 2) = split_part(p_to, ',', 2)
        AND substring(p_from FROM '[0-9]+')::integer < substring(p_to FROM '[0-9]+')::integer
    ELSE FALSE
END
$_$;

ALTER FUNCTION ops.type_widens(p_from text, p_to text) OWNER TO warehouse_owner;

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE ops.incoming_files (
    bucket text NOT NULL,
    dataset text NOT NULL,
    files bigint NOT NULL,
    size_bytes bigint NOT NULL,
    oldest_at timestamp with time zone,
    looked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE ops.incoming_files OWNER TO warehouse_owner;

COMMENT ON TABLE ops.incoming_files IS 'What lay in incoming/ when the sweeper looked last: one row per dataset.';

COMMENT ON COLUMN ops.incoming_files.oldest_at IS 'When the oldest object was written, by the bucket''s clock.';

COMMENT ON COLUMN ops.incoming_files.looked_at IS 'Long ago: nobody looks any more.';

CREATE VIEW analytics.waiting AS
 SELECT dataset,
    files,
    looked_at
   FROM ops.incoming_files;

ALTER VIEW analytics.waiting OWNER TO warehouse_owner;

CREATE TABLE ops.alert (
    kind text NOT NULL,
    about text NOT NULL,
    cause text NOT NULL,
    told_until timestamp with time zone NOT NULL,
    told_at timestamp with time zone,
    failed_at timestamp with time zone,
    held_back integer DEFAULT 0 NOT NULL
);

ALTER TABLE ops.alert OWNER TO warehouse_owner;

COMMENT ON TABLE ops.alert IS 'What people were told of last: one row per cause, and one with an empty cause for all.';

COMMENT ON COLUMN ops.alert.about IS 'A dataset, a topic or a DAG.';

COMMENT ON COLUMN ops.alert.told_until IS 'What came after this is not told of yet.';

COMMENT ON COLUMN ops.alert.failed_at IS 'When a message was given up; empty after one that was sent.';

COMMENT ON COLUMN ops.alert.held_back IS 'How often there was cause for a message since the last one.';

CREATE TABLE ops.dataset_column (
    dataset text NOT NULL,
    column_name text NOT NULL,
    source_name text NOT NULL,
    added_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE ops.dataset_column OWNER TO warehouse_owner;

COMMENT ON TABLE ops.dataset_column IS 'The columns that files added to a dataset (unknownColumns: evolve), and the header of each.';

CREATE TABLE ops.dataset_lock (
    dataset text NOT NULL,
    last_file_id bigint
);

ALTER TABLE ops.dataset_lock OWNER TO warehouse_owner;

COMMENT ON TABLE ops.dataset_lock IS 'One row per dataset: locked FOR UPDATE while its table is changed.';

COMMENT ON COLUMN ops.dataset_lock.last_file_id IS 'The file that was loaded last.';

CREATE TABLE ops.file_event (
    event_id bigint NOT NULL,
    file_id bigint NOT NULL,
    happened_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    status text NOT NULL,
    stage text NOT NULL,
    attempts integer NOT NULL,
    error_code text,
    error_message text,
    dag_id text,
    run_id text
);

ALTER TABLE ops.file_event OWNER TO warehouse_owner;

COMMENT ON TABLE ops.file_event IS 'Every change of a file''s status: the history that reprocessing keeps.';

ALTER TABLE ops.file_event ALTER COLUMN event_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ops.file_event_event_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE ops.file_ingestion_log (
    file_id bigint NOT NULL,
    dataset text NOT NULL,
    bucket text,
    object_key text,
    etag text,
    sha256 text,
    size_bytes bigint,
    format text,
    contract_version text,
    status text DEFAULT 'claimed'::text NOT NULL,
    stage text DEFAULT 'claim'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    rows_read bigint,
    rows_inserted bigint,
    rows_updated bigint,
    rows_unchanged bigint,
    rows_duplicate bigint,
    rows_rejected bigint,
    error_code text,
    error_message text,
    settled_key text,
    claimed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    validated_at timestamp with time zone,
    processed_at timestamp with time zone,
    loaded_at timestamp with time zone,
    settled_at timestamp with time zone,
    dag_id text,
    run_id text,
    topic text,
    partition integer,
    first_offset bigint,
    last_offset bigint,
    rejects_by_code jsonb,
    resend_no integer DEFAULT 0 NOT NULL,
    modified_at timestamp with time zone,
    postponed_at timestamp with time zone,
    deletes_ignored bigint,
    CONSTRAINT failure_has_a_reason CHECK (((status !~~ '%failed'::text) OR (error_code IS NOT NULL))),
    CONSTRAINT has_a_source CHECK ((((object_key IS NOT NULL) AND (bucket IS NOT NULL)) OR (topic IS NOT NULL))),
    CONSTRAINT loaded_rows_balance CHECK (((status <> ALL (ARRAY['loaded'::text, 'archived'::text])) OR COALESCE((rows_read = ((((rows_inserted + rows_updated) + rows_unchanged) + rows_duplicate) + rows_rejected)), false))),
    CONSTRAINT status_is_known CHECK ((status = ANY (ARRAY['claimed'::text, 'validated'::text, 'processed'::text, 'loaded'::text, 'archived'::text, 'validation_failed'::text, 'processing_failed'::text, 'loading_failed'::text, 'duplicate'::text])))
);

ALTER TABLE ops.file_ingestion_log OWNER TO warehouse_owner;

COMMENT ON TABLE ops.file_ingestion_log IS 'One row per file content and dataset: what became of it, and why.';

COMMENT ON COLUMN ops.file_ingestion_log.attempts IS 'How often a worker began with the file since it was claimed.';

COMMENT ON COLUMN ops.file_ingestion_log.settled_key IS 'Where the file lies now, under processed/ or failed/; its own object_key if the store refuses to serve the object.';

COMMENT ON COLUMN ops.file_ingestion_log.topic IS 'For a batch of messages, in place of bucket and object_key.';

COMMENT ON COLUMN ops.file_ingestion_log.rejects_by_code IS 'Bad cells and broken rules by code: all of them.';

COMMENT ON COLUMN ops.file_ingestion_log.resend_no IS 'How often the same content was loaded before, each time with another content after it. 0 where rows have a newest-by column.';

COMMENT ON COLUMN ops.file_ingestion_log.modified_at IS 'When the object was written, by the bucket''s clock.';

COMMENT ON COLUMN ops.file_ingestion_log.postponed_at IS 'When the work stopped last for a reason outside the file (bucket, warehouse, lock, disk, service). The file waits.';

COMMENT ON COLUMN ops.file_ingestion_log.deletes_ignored IS 'Messages without a value (deletes) of this batch. They change no row, and are not in rows_read.';

ALTER TABLE ops.file_ingestion_log ALTER COLUMN file_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ops.file_ingestion_log_file_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE ops.quality_result (
    result_id bigint NOT NULL,
    dataset text NOT NULL,
    file_id bigint,
    expectation text NOT NULL,
    column_name text,
    severity text NOT NULL,
    success boolean NOT NULL,
    observed text,
    expected text,
    checked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT quality_result_severity_check CHECK ((severity = ANY (ARRAY['critical'::text, 'warning'::text, 'info'::text])))
);

ALTER TABLE ops.quality_result OWNER TO warehouse_owner;

COMMENT ON TABLE ops.quality_result IS 'What each table-level expectation saw, per file.';

ALTER TABLE ops.quality_result ALTER COLUMN result_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ops.quality_result_result_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE ops.rejected_rows (
    file_id bigint NOT NULL,
    source_row bigint NOT NULL,
    source_line bigint,
    column_name text,
    code text NOT NULL,
    message text NOT NULL,
    raw_record text NOT NULL
);

ALTER TABLE ops.rejected_rows OWNER TO warehouse_owner;

COMMENT ON TABLE ops.rejected_rows IS 'Why rows were refused: one row per bad cell or rule, the first of each file.';

CREATE TABLE ops.source_state (
    source text NOT NULL,
    resource text NOT NULL,
    endpoint text NOT NULL,
    newest_at timestamp with time zone,
    request_url text,
    etag text,
    last_record text,
    asked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    answer text NOT NULL
);

ALTER TABLE ops.source_state OWNER TO warehouse_owner;

COMMENT ON TABLE ops.source_state IS 'How far each API was read: one row per source, resource and endpoint.';

COMMENT ON COLUMN ops.source_state.newest_at IS 'The newest record whose file lies in incoming/ or has passed it.';

COMMENT ON COLUMN ops.source_state.request_url IS 'The page that the ETag is of; without one, the page to go on at.';

COMMENT ON COLUMN ops.source_state.last_record IS 'The last record read of an unfinished listing.';

COMMENT ON COLUMN ops.source_state.answer IS 'What the last run met: news, no news, or a failure''s reason.';

CREATE TABLE ops.work_lock (
    name text NOT NULL
);

ALTER TABLE ops.work_lock OWNER TO warehouse_owner;

COMMENT ON TABLE ops.work_lock IS 'One row per piece of work that one process does at a time: locked FOR UPDATE.';

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);

ALTER TABLE public.alembic_version OWNER TO warehouse_owner;

CREATE TABLE raw.sales (
    _file_id bigint NOT NULL,
    _source_row bigint NOT NULL,
    _loaded_at timestamp with time zone NOT NULL,
    _rescued jsonb,
    sale_id text NOT NULL COLLATE pg_catalog."C",
    sale_date date,
    customer_id text COLLATE pg_catalog."C",
    customer_name text COLLATE pg_catalog."C",
    product text COLLATE pg_catalog."C",
    category text COLLATE pg_catalog."C",
    quantity bigint,
    unit_price numeric(12,2),
    total_amount numeric(14,2),
    region text COLLATE pg_catalog."C",
    updated_at timestamp with time zone
)
WITH (fillfactor='80');

ALTER TABLE raw.sales OWNER TO warehouse_owner;

INSERT INTO ops.alert (kind, about, cause, told_until, told_at, failed_at, held_back) VALUES
	('quarantine', 'sales', '', '2026-11-30 22:57:58.605796+00', '2026-11-30 22:57:58.605796+00', NULL, 2),
	('quarantine', 'sales', 'bad-number', '2026-11-30 22:57:58.605796+00', '2026-11-30 22:57:58.605796+00', NULL, 0);

INSERT INTO ops.dataset_column (dataset, column_name, source_name, added_at) VALUES
	('events', 'price', 'Price', '2026-11-30 22:57:58.60977+00');

INSERT INTO ops.dataset_lock (dataset, last_file_id) VALUES
	('sales', 6);

INSERT INTO ops.file_event (event_id, file_id, happened_at, status, stage, attempts, error_code, error_message, dag_id, run_id) OVERRIDING SYSTEM VALUE VALUES
	(1, 1, '2026-11-30 22:57:53.974545+00', 'claimed', 'claim', 0, NULL, NULL, 'ingest_test', 'run-1'),
	(2, 1, '2026-11-30 22:57:54.044208+00', 'claimed', 'validate', 1, NULL, NULL, 'ingest_test', 'run-1'),
	(3, 1, '2026-11-30 22:57:55.354977+00', 'validated', 'process', 1, NULL, NULL, 'ingest_test', 'run-1'),
	(4, 1, '2026-11-30 22:57:55.422613+00', 'processed', 'load', 1, NULL, NULL, 'ingest_test', 'run-1'),
	(5, 1, '2026-11-30 22:57:55.577388+00', 'loaded', 'settle', 1, NULL, NULL, 'ingest_test', 'run-1'),
	(6, 1, '2026-11-30 22:57:55.724918+00', 'archived', 'settle', 1, NULL, NULL, 'ingest_test', 'run-1'),
	(7, 2, '2026-11-30 22:57:55.835773+00', 'claimed', 'claim', 0, NULL, NULL, 'ingest_test', 'run-2'),
	(8, 2, '2026-11-30 22:57:55.911454+00', 'claimed', 'validate', 1, NULL, NULL, 'ingest_test', 'run-2'),
	(9, 2, '2026-11-30 22:57:56.039208+00', 'validated', 'process', 1, NULL, NULL, 'ingest_test', 'run-2'),
	(10, 2, '2026-11-30 22:57:56.094469+00', 'processed', 'load', 1, NULL, NULL, 'ingest_test', 'run-2'),
	(11, 2, '2026-11-30 22:57:56.252776+00', 'loaded', 'settle', 1, NULL, NULL, 'ingest_test', 'run-2'),
	(12, 2, '2026-11-30 22:57:56.359521+00', 'archived', 'settle', 1, NULL, NULL, 'ingest_test', 'run-2'),
	(13, 3, '2026-11-30 22:57:56.438226+00', 'claimed', 'claim', 0, NULL, NULL, 'ingest_test', 'run-3'),
	(14, 3, '2026-11-30 22:57:56.501623+00', 'claimed', 'validate', 1, NULL, NULL, 'ingest_test', 'run-3'),
	(15, 3, '2026-11-30 22:57:56.928452+00', 'validation_failed', 'settle', 1, 'error-budget-exceeded', '1 of 2 rows are refused; the contract allows none. First: line 3, quantity: ''many'' is not a whole number. [bad-integer] Correct the refused rows, each listed with its reason, and send them again.', 'ingest_test', 'run-3'),
	(16, 4, '2026-11-30 22:57:57.22+00', 'claimed', 'claim', 0, NULL, NULL, 'ingest_test', 'run-4'),
	(17, 4, '2026-11-30 22:57:57.295915+00', 'claimed', 'validate', 1, NULL, NULL, 'ingest_test', 'run-4'),
	(18, 4, '2026-11-30 22:57:57.344756+00', 'duplicate', 'settle', 1, 'duplicate-content', 'The same content was loaded before, as file 1. Nothing to do: no row was touched.', 'ingest_test', 'run-4'),
	(19, 5, '2026-11-30 22:57:57.587264+00', 'claimed', 'claim', 0, NULL, NULL, 'sweep', 'r'),
	(20, 5, '2026-11-30 22:57:57.603825+00', 'validation_failed', 'settle', 0, 'unknown-dataset', 'No contract knows this file. Drop it into incoming/<dataset>/ (datasets: sales), or add a contract and reprocess it.', 'sweep', 'r'),
	(21, 6, '2026-11-30 22:57:57.832034+00', 'claimed', 'claim', 0, NULL, NULL, 'ingest_test', 'manual__2026-11-30'),
	(22, 6, '2026-11-30 22:57:57.897266+00', 'claimed', 'validate', 1, NULL, NULL, 'ingest_test', 'manual__2026-11-30'),
	(23, 6, '2026-11-30 22:57:58.172353+00', 'validated', 'process', 1, NULL, NULL, 'ingest_test', 'manual__2026-11-30'),
	(24, 6, '2026-11-30 22:57:58.279784+00', 'processed', 'load', 1, NULL, NULL, 'ingest_test', 'manual__2026-11-30'),
	(25, 6, '2026-11-30 22:57:58.517051+00', 'loaded', 'settle', 1, NULL, NULL, 'ingest_test', 'manual__2026-11-30'),
	(26, 7, '2026-11-30 22:57:58.608164+00', 'claimed', 'claim', 0, NULL, NULL, NULL, NULL);

INSERT INTO ops.file_ingestion_log (file_id, dataset, bucket, object_key, etag, sha256, size_bytes, format, contract_version, status, stage, attempts, rows_read, rows_inserted, rows_updated, rows_unchanged, rows_duplicate, rows_rejected, error_code, error_message, settled_key, claimed_at, validated_at, processed_at, loaded_at, settled_at, dag_id, run_id, topic, partition, first_offset, last_offset, rejects_by_code, resend_no, modified_at, postponed_at, deletes_ignored) OVERRIDING SYSTEM VALUE VALUES
	(1, 'sales', 'upgraded', 'incoming/sales/sales_first.csv', '2c391e6668d0a5999297771d9f69c724', 'f7a14f578b76648ae9c6efc85682a951f286b31d94a06a83554f72e8db39eb35', 385, 'csv', '1.0.0', 'archived', 'settle', 1, 3, 3, 0, 0, 0, 0, NULL, NULL, 'processed/sales/1/sales_first.csv', '2026-11-30 22:57:53.969436+00', '2026-11-30 22:57:55.35472+00', '2026-11-30 22:57:55.422451+00', '2026-11-30 22:57:55.577083+00', '2026-11-30 22:57:55.722774+00', 'ingest_test', 'run-1', NULL, NULL, NULL, NULL, '{}', 0, '2026-11-30 22:57:53+00', NULL, NULL),
	(2, 'sales', 'upgraded', 'incoming/sales/sales_second.csv', 'bb5abb9a14eb5623c3c412ae481aed4c', '1677c266bdcc9aeb526c8682b2c6773c165901ab3a02d5dee434b527f9d39406', 294, 'csv', '1.0.0', 'archived', 'settle', 1, 2, 1, 1, 0, 0, 0, NULL, NULL, 'processed/sales/2/sales_second.csv', '2026-11-30 22:57:55.834912+00', '2026-11-30 22:57:56.039019+00', '2026-11-30 22:57:56.094199+00', '2026-11-30 22:57:56.252626+00', '2026-11-30 22:57:56.356277+00', 'ingest_test', 'run-2', NULL, NULL, NULL, NULL, '{}', 0, '2026-11-30 22:57:55+00', NULL, NULL),
	(3, 'sales', 'upgraded', 'incoming/sales/sales_bad.csv', 'd770748eb5221a40880644d949d84b0b', '7502f0c9bab2b3a09c13c0292054c525df05b079d8ba88586c6dcb0473b849d7', 300, 'csv', '1.0.0', 'validation_failed', 'settle', 1, 2, NULL, NULL, NULL, NULL, 1, 'error-budget-exceeded', '1 of 2 rows are refused; the contract allows none. First: line 3, quantity: ''many'' is not a whole number. [bad-integer] Correct the refused rows, each listed with its reason, and send them again.', 'failed/validation_failed/sales/3/sales_bad.csv', '2026-11-30 22:57:56.437434+00', NULL, NULL, NULL, '2026-11-30 22:57:57.117125+00', 'ingest_test', 'run-3', NULL, NULL, NULL, NULL, '{"bad-number": 1, "bad-integer": 1}', 0, '2026-11-30 22:57:56+00', NULL, NULL),
	(6, 'sales', 'upgraded', 'incoming/sales/sales_waiting.csv', '7867d191bc99740354140c14de754bc2', '1a957fd210b5c5665e6247030fe5552773c2f719979ef70632778b65348f2c82', 203, 'csv', '1.0.0', 'loaded', 'settle', 1, 1, 1, 0, 0, 0, 0, NULL, NULL, NULL, '2026-11-30 22:57:57.830839+00', '2026-11-30 22:57:58.172181+00', '2026-11-30 22:57:58.279574+00', '2026-11-30 22:57:58.516842+00', NULL, 'ingest_test', 'manual__2026-11-30', NULL, NULL, NULL, NULL, '{}', 0, '2026-11-30 22:57:57+00', NULL, NULL),
	(4, 'sales', 'upgraded', 'incoming/sales/sales_copy.csv', '2c391e6668d0a5999297771d9f69c724', 'f7a14f578b76648ae9c6efc85682a951f286b31d94a06a83554f72e8db39eb35', 385, NULL, '1.0.0', 'duplicate', 'settle', 1, NULL, NULL, NULL, NULL, NULL, NULL, 'duplicate-content', 'The same content was loaded before, as file 1. Nothing to do: no row was touched.', 'processed/sales/4/sales_copy.csv', '2026-11-30 22:57:57.214561+00', NULL, NULL, NULL, '2026-11-30 22:57:57.499955+00', 'ingest_test', 'run-4', NULL, NULL, NULL, NULL, NULL, 0, '2026-11-30 22:57:57+00', NULL, NULL),
	(5, 'unknown', 'upgraded', 'incoming/else/unknown.bin', '9dd4e461268c8034f5c8564e155c67a6', NULL, 1, NULL, '', 'validation_failed', 'settle', 0, NULL, NULL, NULL, NULL, NULL, NULL, 'unknown-dataset', 'No contract knows this file. Drop it into incoming/<dataset>/ (datasets: sales), or add a contract and reprocess it.', 'failed/validation_failed/unknown/5/unknown.bin', '2026-11-30 22:57:57.586479+00', NULL, NULL, NULL, '2026-11-30 22:57:57.692645+00', 'sweep', 'r', NULL, NULL, NULL, NULL, NULL, 0, '2026-11-30 22:57:57+00', NULL, NULL),
	(7, 'transactions', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'claimed', 'claim', 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-30 22:57:58.606944+00', NULL, NULL, NULL, NULL, NULL, NULL, 'transactions', 0, 5, 9, NULL, 0, NULL, NULL, NULL);

INSERT INTO ops.incoming_files (bucket, dataset, files, size_bytes, oldest_at, looked_at) VALUES
	('upgraded', 'sales', 0, 0, NULL, '2026-11-30 22:57:57.578487+00');

INSERT INTO ops.quality_result (result_id, dataset, file_id, expectation, column_name, severity, success, observed, expected, checked_at) OVERRIDING SYSTEM VALUE VALUES
	(1, 'sales', 1, 'rows', NULL, 'critical', false, NULL, NULL, '2026-11-30 22:57:58.605796+00'),
	(2, 'sales', NULL, 'rows', NULL, 'info', true, NULL, NULL, '2026-11-30 22:57:58.605796+00');

INSERT INTO ops.rejected_rows (file_id, source_row, source_line, column_name, code, message, raw_record) VALUES
	(3, 2, 3, 'quantity', 'bad-integer', '''many'' is not a whole number.', 'S6,2026-01-06,C6,Ada Lovelace,Desk lamp,Furniture,many,10.00,many0.00,North,2026-02-01T08:00:00Z'),
	(3, 2, 3, 'total_amount', 'bad-number', '''many0.00'' is not a number.', 'S6,2026-01-06,C6,Ada Lovelace,Desk lamp,Furniture,many,10.00,many0.00,North,2026-02-01T08:00:00Z');

INSERT INTO ops.source_state (source, resource, endpoint, newest_at, request_url, etag, last_record, asked_at, answer) VALUES
	('github', 'o/r', 'commits', '2026-11-30 22:57:58.605796+00', NULL, NULL, NULL, '2026-11-30 22:57:58.609316+00', 'new records');

INSERT INTO ops.work_lock (name) VALUES
	('sweep');

INSERT INTO public.alembic_version (version_num) VALUES
	('0012');

INSERT INTO raw.sales (_file_id, _source_row, _loaded_at, _rescued, sale_id, sale_date, customer_id, customer_name, product, category, quantity, unit_price, total_amount, region, updated_at) VALUES
	(1, 1, '2026-11-30 22:57:55.562124+00', NULL, 'S1', '2026-01-01', 'C1', 'Ada Lovelace', 'Desk lamp', 'Furniture', 2, 10.00, 20.00, 'North', '2026-02-01 08:00:00+00'),
	(1, 2, '2026-11-30 22:57:55.562124+00', NULL, 'S2', '2026-01-02', 'C2', 'Ada Lovelace', 'Desk lamp', 'Furniture', 2, 10.00, 20.00, 'North', '2026-02-01 08:00:00+00'),
	(2, 1, '2026-11-30 22:57:56.244087+00', NULL, 'S3', '2026-01-03', 'C3', 'Ada Lovelace', 'Desk lamp', 'Furniture', 5, 10.00, 50.00, 'North', '2026-02-02 08:00:00+00'),
	(2, 2, '2026-11-30 22:57:56.244087+00', NULL, 'S4', '2026-01-04', 'C4', 'Ada Lovelace', 'Desk lamp', 'Furniture', 2, 10.00, 20.00, 'North', '2026-02-01 08:00:00+00'),
	(6, 1, '2026-11-30 22:57:58.486092+00', NULL, 'S7', '2026-01-07', 'C7', 'Ada Lovelace', 'Desk lamp', 'Furniture', 2, 10.00, 20.00, 'North', '2026-02-01 08:00:00+00');

SELECT pg_catalog.setval('ops.file_event_event_id_seq', 26, true);

SELECT pg_catalog.setval('ops.file_ingestion_log_file_id_seq', 7, true);

SELECT pg_catalog.setval('ops.quality_result_result_id_seq', 2, true);

ALTER TABLE ONLY ops.alert
    ADD CONSTRAINT alert_pkey PRIMARY KEY (kind, about, cause);

ALTER TABLE ONLY ops.dataset_column
    ADD CONSTRAINT dataset_column_pkey PRIMARY KEY (dataset, column_name);

ALTER TABLE ONLY ops.dataset_lock
    ADD CONSTRAINT dataset_lock_pkey PRIMARY KEY (dataset);

ALTER TABLE ONLY ops.file_event
    ADD CONSTRAINT file_event_pkey PRIMARY KEY (event_id);

ALTER TABLE ONLY ops.file_ingestion_log
    ADD CONSTRAINT file_ingestion_log_pkey PRIMARY KEY (file_id);

ALTER TABLE ONLY ops.incoming_files
    ADD CONSTRAINT incoming_files_pkey PRIMARY KEY (bucket, dataset);

ALTER TABLE ONLY ops.quality_result
    ADD CONSTRAINT quality_result_pkey PRIMARY KEY (result_id);

ALTER TABLE ONLY ops.source_state
    ADD CONSTRAINT source_state_pkey PRIMARY KEY (source, resource, endpoint);

ALTER TABLE ONLY ops.work_lock
    ADD CONSTRAINT work_lock_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY raw.sales
    ADD CONSTRAINT sales_pkey PRIMARY KEY (sale_id);

CREATE UNIQUE INDEX batch_is_in_flight_once ON ops.file_ingestion_log USING btree (topic, partition, first_offset) WHERE ((settled_at IS NULL) AND (topic IS NOT NULL));

CREATE INDEX checks_of_table ON ops.quality_result USING btree (dataset, checked_at) WHERE (file_id IS NULL);

CREATE UNIQUE INDEX content_is_loaded_once ON ops.file_ingestion_log USING btree (dataset, sha256, resend_no) WHERE (status = ANY (ARRAY['loaded'::text, 'archived'::text]));

CREATE UNIQUE INDEX dataset_column_dataset_source_name_key ON ops.dataset_column USING btree (dataset, ops.header_hash(source_name));

CREATE INDEX entries_of_object ON ops.file_ingestion_log USING btree (bucket, object_key, etag);

CREATE INDEX entries_of_topic ON ops.file_ingestion_log USING btree (topic, partition, first_offset) WHERE (topic IS NOT NULL);

CREATE INDEX events_of_file ON ops.file_event USING btree (file_id, event_id);

CREATE INDEX loaded_of_dataset ON ops.file_ingestion_log USING btree (dataset, loaded_at) WHERE (loaded_at IS NOT NULL);

CREATE UNIQUE INDEX object_is_in_flight_once ON ops.file_ingestion_log USING btree (bucket, object_key, etag) WHERE (settled_at IS NULL);

CREATE INDEX postponed_entries ON ops.file_ingestion_log USING btree (dataset, postponed_at) WHERE ((settled_at IS NULL) AND (postponed_at IS NOT NULL));

CREATE INDEX quarantined_of_dataset ON ops.file_ingestion_log USING btree (dataset, settled_at) WHERE (status = ANY (ARRAY['validation_failed'::text, 'processing_failed'::text, 'loading_failed'::text]));

CREATE INDEX recent_entries ON ops.file_ingestion_log USING btree (claimed_at);

CREATE INDEX recent_results ON ops.quality_result USING btree (checked_at);

CREATE INDEX recently_settled ON ops.file_ingestion_log USING btree (settled_at) WHERE (settled_at IS NOT NULL);

CREATE INDEX rejects_of_file ON ops.rejected_rows USING btree (file_id, source_row);

CREATE INDEX results_of_file ON ops.quality_result USING btree (file_id);

CREATE INDEX unsettled_of_dataset ON ops.file_ingestion_log USING btree (dataset, status) WHERE (settled_at IS NULL);

CREATE TRIGGER keep_history_of_insert AFTER INSERT ON ops.file_ingestion_log FOR EACH ROW EXECUTE FUNCTION ops.keep_history();

CREATE TRIGGER keep_history_of_update AFTER UPDATE ON ops.file_ingestion_log FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) OR (old.attempts IS DISTINCT FROM new.attempts) OR (old.error_code IS DISTINCT FROM new.error_code))) EXECUTE FUNCTION ops.keep_history();

ALTER TABLE ONLY ops.dataset_lock
    ADD CONSTRAINT dataset_lock_last_file_id_fkey FOREIGN KEY (last_file_id) REFERENCES ops.file_ingestion_log(file_id) ON DELETE SET NULL;

ALTER TABLE ONLY ops.file_event
    ADD CONSTRAINT file_event_file_id_fkey FOREIGN KEY (file_id) REFERENCES ops.file_ingestion_log(file_id) ON DELETE CASCADE;

ALTER TABLE ONLY ops.quality_result
    ADD CONSTRAINT quality_result_file_id_fkey FOREIGN KEY (file_id) REFERENCES ops.file_ingestion_log(file_id) ON DELETE CASCADE;

ALTER TABLE ONLY ops.rejected_rows
    ADD CONSTRAINT rejected_rows_file_id_fkey FOREIGN KEY (file_id) REFERENCES ops.file_ingestion_log(file_id) ON DELETE CASCADE;

GRANT ALL ON SCHEMA analytics TO transform;
GRANT USAGE ON SCHEMA analytics TO reader;

GRANT ALL ON SCHEMA load TO ingest;

GRANT USAGE ON SCHEMA ops TO ingest;
GRANT USAGE ON SCHEMA ops TO transform;
GRANT USAGE ON SCHEMA ops TO reader;

GRANT USAGE ON SCHEMA raw TO ingest;
GRANT USAGE ON SCHEMA raw TO transform;
GRANT USAGE ON SCHEMA raw TO reader;

GRANT ALL ON SCHEMA staging TO transform;
GRANT USAGE ON SCHEMA staging TO reader;

REVOKE ALL ON FUNCTION ops.count_rows(p_dataset text) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.count_rows(p_dataset text) TO reader;

REVOKE ALL ON FUNCTION ops.ensure_dataset(p_dataset text, p_columns jsonb, p_key text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.ensure_dataset(p_dataset text, p_columns jsonb, p_key text[]) TO ingest;

REVOKE ALL ON FUNCTION ops.forget_alerts(p_keep interval) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.forget_alerts(p_keep interval) TO ingest;

REVOKE ALL ON FUNCTION ops.forget_file_events(p_keep interval, p_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.forget_file_events(p_keep interval, p_most integer) TO ingest;

REVOKE ALL ON FUNCTION ops.forget_quality_results(p_keep_days integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.forget_quality_results(p_keep_days integer) TO transform;

REVOKE ALL ON FUNCTION ops.header_hash(p_header text) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.header_hash(p_header text) TO ingest;

REVOKE ALL ON FUNCTION ops.is_column_name(p_name text) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.is_column_name(p_name text) TO ingest;

REVOKE ALL ON FUNCTION ops.keep_history() FROM PUBLIC;

REVOKE ALL ON FUNCTION ops.note_lock_wait(p_file_id bigint, p_message text) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.note_lock_wait(p_file_id bigint, p_message text) TO ingest;

REVOKE ALL ON FUNCTION ops.note_replaced_versions(p_file_id bigint, p_messages text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.note_replaced_versions(p_file_id bigint, p_messages text[]) TO ingest;

REVOKE ALL ON FUNCTION ops.type_widens(p_from text, p_to text) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.type_widens(p_from text, p_to text) TO ingest;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE ops.incoming_files TO ingest;
GRANT SELECT ON TABLE ops.incoming_files TO transform;
GRANT SELECT ON TABLE ops.incoming_files TO reader;

GRANT SELECT ON TABLE analytics.waiting TO reader;

GRANT SELECT,INSERT,UPDATE ON TABLE ops.alert TO ingest;
GRANT SELECT ON TABLE ops.alert TO transform;
GRANT SELECT ON TABLE ops.alert TO reader;

GRANT SELECT,INSERT ON TABLE ops.dataset_column TO ingest;
GRANT SELECT ON TABLE ops.dataset_column TO transform;
GRANT SELECT ON TABLE ops.dataset_column TO reader;

GRANT SELECT,INSERT,UPDATE ON TABLE ops.dataset_lock TO ingest;
GRANT SELECT ON TABLE ops.dataset_lock TO transform;
GRANT SELECT ON TABLE ops.dataset_lock TO reader;

GRANT SELECT ON TABLE ops.file_event TO ingest;
GRANT SELECT ON TABLE ops.file_event TO transform;
GRANT SELECT ON TABLE ops.file_event TO reader;

GRANT SELECT,INSERT,UPDATE ON TABLE ops.file_ingestion_log TO ingest;
GRANT SELECT ON TABLE ops.file_ingestion_log TO transform;
GRANT SELECT ON TABLE ops.file_ingestion_log TO reader;

GRANT SELECT,INSERT,DELETE ON TABLE ops.quality_result TO ingest;
GRANT SELECT,INSERT ON TABLE ops.quality_result TO transform;
GRANT SELECT ON TABLE ops.quality_result TO reader;

GRANT SELECT,INSERT,DELETE ON TABLE ops.rejected_rows TO ingest;
GRANT SELECT ON TABLE ops.rejected_rows TO transform;
GRANT SELECT ON TABLE ops.rejected_rows TO reader;

GRANT SELECT,INSERT,UPDATE ON TABLE ops.source_state TO ingest;
GRANT SELECT ON TABLE ops.source_state TO transform;
GRANT SELECT ON TABLE ops.source_state TO reader;

GRANT SELECT,INSERT,UPDATE ON TABLE ops.work_lock TO ingest;
GRANT SELECT ON TABLE ops.work_lock TO transform;
GRANT SELECT ON TABLE ops.work_lock TO reader;

GRANT SELECT,INSERT,UPDATE ON TABLE raw.sales TO ingest;
GRANT SELECT ON TABLE raw.sales TO transform;
GRANT SELECT ON TABLE raw.sales TO reader;

ALTER DEFAULT PRIVILEGES FOR ROLE warehouse_owner REVOKE ALL ON FUNCTIONS FROM PUBLIC;

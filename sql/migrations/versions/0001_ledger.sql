CREATE SCHEMA raw;
CREATE SCHEMA ops;
CREATE SCHEMA load;
CREATE SCHEMA staging;
CREATE SCHEMA analytics;

CREATE TABLE ops.file_ingestion_log (
    file_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    bucket text,
    object_key text,
    etag text,
    sha256 text,
    size_bytes bigint,
    format text,
    contract_version text,
    status text NOT NULL DEFAULT 'claimed',
    stage text NOT NULL DEFAULT 'claim',
    attempts integer NOT NULL DEFAULT 0,
    rows_read bigint,
    rows_inserted bigint,
    rows_updated bigint,
    rows_unchanged bigint,
    rows_duplicate bigint,
    rows_rejected bigint,
    error_code text,
    error_message text,
    settled_key text,
    claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    validated_at timestamptz,
    processed_at timestamptz,
    loaded_at timestamptz,
    settled_at timestamptz,
    dag_id text,
    run_id text,
    topic text,
    partition integer,
    first_offset bigint,
    last_offset bigint,
    CONSTRAINT has_a_source CHECK ((object_key IS NOT NULL AND bucket IS NOT NULL) OR topic IS NOT NULL),
    CONSTRAINT status_is_known CHECK (
        status IN (
            'claimed', 'validated', 'processed', 'loaded', 'archived',
            'validation_failed', 'processing_failed', 'loading_failed', 'duplicate'
        )
    ),
    CONSTRAINT loaded_rows_balance CHECK (
        status NOT IN ('loaded', 'archived')
        OR coalesce(
            rows_read = rows_inserted + rows_updated + rows_unchanged + rows_duplicate + rows_rejected, FALSE
        )
    ),
    CONSTRAINT failure_has_a_reason CHECK (status NOT LIKE '%failed' OR error_code IS NOT NULL)
);
COMMENT ON TABLE ops.file_ingestion_log IS 'One row per file content and dataset: what became of it, and why.';
COMMENT ON COLUMN ops.file_ingestion_log.settled_key IS 'Where the file lies now, under processed/ or failed/.';
COMMENT ON COLUMN ops.file_ingestion_log.attempts IS 'How often a worker began with the file since it was claimed.';

CREATE UNIQUE INDEX content_is_loaded_once ON ops.file_ingestion_log (dataset, sha256)
WHERE status IN ('loaded', 'archived');
CREATE UNIQUE INDEX object_is_in_flight_once ON ops.file_ingestion_log (bucket, object_key, etag)
WHERE settled_at IS NULL;
CREATE INDEX unsettled_of_dataset ON ops.file_ingestion_log (dataset, status) WHERE settled_at IS NULL;
CREATE INDEX entries_of_object ON ops.file_ingestion_log (bucket, object_key, etag);
CREATE INDEX recent_entries ON ops.file_ingestion_log (claimed_at);

CREATE TABLE ops.file_event (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file_id bigint NOT NULL REFERENCES ops.file_ingestion_log (file_id) ON DELETE CASCADE,
    happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    status text NOT NULL,
    stage text NOT NULL,
    attempts integer NOT NULL,
    error_code text,
    error_message text,
    dag_id text,
    run_id text
);
COMMENT ON TABLE ops.file_event IS 'Every change of a file''s status: the history that reprocessing keeps.';
CREATE INDEX events_of_file ON ops.file_event (file_id, event_id);

CREATE FUNCTION ops.keep_history() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO ops.file_event (file_id, status, stage, attempts, error_code, error_message, dag_id, run_id)
    VALUES (NEW.file_id, NEW.status, NEW.stage, NEW.attempts, NEW.error_code, NEW.error_message, NEW.dag_id, NEW.run_id);
    RETURN NULL;
END $$;
CREATE TRIGGER keep_history_of_insert AFTER INSERT ON ops.file_ingestion_log
FOR EACH ROW EXECUTE FUNCTION ops.keep_history();
CREATE TRIGGER keep_history_of_update AFTER UPDATE ON ops.file_ingestion_log
FOR EACH ROW WHEN (
    old.status IS DISTINCT FROM new.status OR old.attempts IS DISTINCT FROM new.attempts
    OR old.error_code IS DISTINCT FROM new.error_code
)
EXECUTE FUNCTION ops.keep_history();

CREATE TABLE ops.rejected_rows (
    file_id bigint NOT NULL REFERENCES ops.file_ingestion_log (file_id) ON DELETE CASCADE,
    source_row bigint NOT NULL,
    source_line bigint,
    column_name text,
    code text NOT NULL,
    message text NOT NULL,
    raw_record text NOT NULL
);
COMMENT ON TABLE ops.rejected_rows IS 'Why rows were refused: one row per bad cell or rule, the first of each file.';
CREATE INDEX rejects_of_file ON ops.rejected_rows (file_id, source_row);

CREATE TABLE ops.quality_result (
    result_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    file_id bigint REFERENCES ops.file_ingestion_log (file_id) ON DELETE CASCADE,
    expectation text NOT NULL,
    column_name text,
    severity text NOT NULL CHECK (severity IN ('critical', 'warning', 'info')),
    success boolean NOT NULL,
    observed text,
    expected text,
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE ops.quality_result IS 'What each table-level expectation saw, per file.';
CREATE INDEX results_of_file ON ops.quality_result (file_id);

-- The pipeline's role may not create or drop tables in raw. It calls this function, which makes a dataset's
-- table and widens it, and nothing else: identifiers are quoted, types come from a short list.
CREATE FUNCTION ops.ensure_dataset(p_dataset text, p_columns jsonb, p_key text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    col record;
    type_pattern constant text :=
        '^(text|bigint|double precision|boolean|date|timestamp|timestamptz|jsonb|uuid|numeric\([0-9]+,[0-9]+\))$';
BEGIN
    IF p_dataset !~ '^[a-z][a-z0-9_]{0,49}$' THEN
        RAISE EXCEPTION 'not a dataset name: %', p_dataset;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('ensure_dataset:' || p_dataset, 0));
    IF to_regclass(format('raw.%I', p_dataset)) IS NULL THEN
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
        IF col.type !~ type_pattern OR col.name !~ '^[A-Za-z_][A-Za-z0-9_]{0,62}$' THEN
            RAISE EXCEPTION 'not a column: % %', col.name, col.type;
        END IF;
        IF NOT EXISTS (
            SELECT FROM pg_attribute
            WHERE attrelid = to_regclass(format('raw.%I', p_dataset)) AND attname = col.name AND NOT attisdropped
        ) THEN
            -- COLLATE "C" on text: keys compare as bytes, a sixth faster, and the same on every machine.
            EXECUTE format('ALTER TABLE raw.%I ADD COLUMN %I %s%s%s', p_dataset, col.name, col.type,
                CASE WHEN col.type = 'text' THEN ' COLLATE "C"' ELSE '' END,
                CASE WHEN col.name = ANY (p_key) THEN ' NOT NULL' ELSE '' END);
        END IF;
    END LOOP;
    IF NOT EXISTS (
        SELECT FROM pg_constraint
        WHERE conrelid = to_regclass(format('raw.%I', p_dataset)) AND contype = 'p'
    ) THEN
        EXECUTE format('ALTER TABLE raw.%I ADD PRIMARY KEY (%s)', p_dataset,
            (SELECT string_agg(format('%I', k), ', ' ORDER BY ord) FROM unnest(p_key) WITH ORDINALITY AS u (k, ord)));
    END IF;
END $$;
REVOKE ALL ON FUNCTION ops.ensure_dataset(text, jsonb, text[]) FROM public;
REVOKE ALL ON FUNCTION ops.keep_history() FROM public;

GRANT USAGE ON SCHEMA raw TO ingest, transform, reader;
GRANT USAGE ON SCHEMA ops TO ingest, transform, reader;
GRANT USAGE, CREATE ON SCHEMA load TO ingest;
GRANT USAGE, CREATE ON SCHEMA staging TO transform;
GRANT USAGE, CREATE ON SCHEMA analytics TO transform;
GRANT USAGE ON SCHEMA staging TO reader;
GRANT USAGE ON SCHEMA analytics TO reader;
GRANT SELECT, INSERT, UPDATE ON ops.file_ingestion_log TO ingest;
GRANT SELECT, INSERT, DELETE ON ops.rejected_rows TO ingest;
GRANT SELECT, INSERT, DELETE ON ops.quality_result TO ingest;
GRANT SELECT ON ops.file_event TO ingest;
GRANT EXECUTE ON FUNCTION ops.ensure_dataset(text, jsonb, text[]) TO ingest;
GRANT SELECT ON ALL TABLES IN SCHEMA ops TO transform, reader;

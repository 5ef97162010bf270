-- One row for each dataset. Who changes a dataset's table, its rows or its columns, holds this row FOR UPDATE until the
-- transaction ends. A row lock needs the right to UPDATE, which only `ingest` has: an advisory lock needs no right.
CREATE TABLE ops.dataset_lock (
    dataset text PRIMARY KEY,
    last_file_id bigint REFERENCES ops.file_ingestion_log (file_id) ON DELETE SET NULL
);
COMMENT ON TABLE ops.dataset_lock IS 'One row per dataset: locked FOR UPDATE while its table is changed.';
COMMENT ON COLUMN ops.dataset_lock.last_file_id IS 'The file that was loaded last.';
INSERT INTO ops.dataset_lock (dataset, last_file_id)
SELECT DISTINCT ON (dataset)
    dataset,
    file_id
FROM ops.file_ingestion_log
WHERE loaded_at IS NOT NULL AND status IN ('loaded', 'archived')
ORDER BY dataset ASC, loaded_at DESC, file_id DESC;
GRANT SELECT, INSERT, UPDATE ON ops.dataset_lock TO ingest;
GRANT SELECT ON ops.dataset_lock TO transform, reader;

-- Locks for work that is about no dataset's table, by name: giving out names of source files, sending an alert.
CREATE TABLE ops.work_lock (name text PRIMARY KEY);
COMMENT ON TABLE ops.work_lock IS 'One row per piece of work that one process does at a time: locked FOR UPDATE.';
GRANT SELECT, INSERT, UPDATE ON ops.work_lock TO ingest;
GRANT SELECT ON ops.work_lock TO transform, reader;

-- `ingest` may not write history itself. It calls this function, which adds an event to a file under way, and nothing
-- else.
CREATE FUNCTION ops.note_lock_wait(p_file_id bigint, p_message text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
INSERT INTO ops.file_event (file_id, status, stage, attempts, error_code, error_message, dag_id, run_id)
SELECT file_id, status, stage, attempts, 'waiting-for-loader', p_message, dag_id, run_id
FROM ops.file_ingestion_log
WHERE file_id = p_file_id AND settled_at IS NULL
$$;
REVOKE ALL ON FUNCTION ops.note_lock_wait(bigint, text) FROM public;
GRANT EXECUTE ON FUNCTION ops.note_lock_wait(bigint, text) TO ingest;

-- A content may be loaded again once another content of the dataset was loaded after it: A, B, A.
ALTER TABLE ops.file_ingestion_log
ADD COLUMN resend_no integer NOT NULL DEFAULT 0,
ADD COLUMN modified_at timestamptz;
COMMENT ON COLUMN ops.file_ingestion_log.resend_no IS
'How often the same content was loaded before, each time with another content after it. 0 where rows have a newest-by '
'column.';
COMMENT ON COLUMN ops.file_ingestion_log.modified_at IS 'When the object was written, by the bucket''s clock.';
DROP INDEX ops.content_is_loaded_once;
CREATE UNIQUE INDEX content_is_loaded_once ON ops.file_ingestion_log (dataset, sha256, resend_no)
WHERE status IN ('loaded', 'archived');

-- The pipeline's role may not create, change or drop tables in raw. It calls this function, which makes a dataset's
-- table, adds columns, and widens a column's type where no value changes. Anything else it leaves as it is: the caller
-- compares the table with the contract. Identifiers are quoted, types come from a short list.
CREATE OR REPLACE FUNCTION ops.ensure_dataset(p_dataset text, p_columns jsonb, p_key text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
        IF col.type !~ type_pattern OR col.name !~ '^[A-Za-z_][A-Za-z0-9_]{0,62}$' THEN
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
END $$;

-- Whether every value of one type is a value of the other, and looks the same there: text that loses its limit, whole
-- numbers, decimals with more digits before the point and as many behind it.
CREATE FUNCTION ops.type_widens(p_from text, p_to text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT CASE
    WHEN p_to = 'text' THEN p_from ~ '^character varying(\([0-9]+\))?$'
    WHEN p_to = 'bigint' THEN p_from IN ('smallint', 'integer')
    WHEN p_from ~ '^numeric\([0-9]+,[0-9]+\)$' AND p_to ~ '^numeric\([0-9]+,[0-9]+\)$' THEN
        split_part(p_from, ',', 2) = split_part(p_to, ',', 2)
        AND substring(p_from FROM '[0-9]+')::integer < substring(p_to FROM '[0-9]+')::integer
    ELSE FALSE
END
$$;
REVOKE ALL ON FUNCTION ops.type_widens(text, text) FROM public;
GRANT EXECUTE ON FUNCTION ops.type_widens(text, text) TO ingest;

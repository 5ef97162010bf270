ALTER TABLE ops.file_ingestion_log ADD COLUMN postponed_at timestamptz;
COMMENT ON COLUMN ops.file_ingestion_log.postponed_at IS
'When the work stopped last for a reason outside the file (bucket, warehouse, lock, disk, service). The file waits.';
COMMENT ON COLUMN ops.file_ingestion_log.settled_key IS
'Where the file lies now, under processed/ or failed/; its own object_key if the store refuses to serve the object.';

CREATE INDEX postponed_entries ON ops.file_ingestion_log (dataset, postponed_at)
WHERE settled_at IS NULL AND postponed_at IS NOT NULL;

-- A version of an object that another one replaced before it was claimed is never read. Its name goes into the history
-- of the entry that replaced it. `ingest` has no right to write history; it calls this function, which adds such events
-- to an entry that is not settled, each once, and nothing else.
CREATE FUNCTION ops.note_replaced_versions(p_file_id bigint, p_messages text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
REVOKE ALL ON FUNCTION ops.note_replaced_versions(bigint, text[]) FROM public;
GRANT EXECUTE ON FUNCTION ops.note_replaced_versions(bigint, text[]) TO ingest;

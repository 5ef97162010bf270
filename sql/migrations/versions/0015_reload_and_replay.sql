-- `filegate try` compares a table with its contract as the role that may only read.
GRANT EXECUTE ON FUNCTION ops.type_widens(text, text) TO reader;

ALTER TABLE ops.file_ingestion_log
ADD COLUMN reload_requested_at timestamptz,
ADD COLUMN reloads integer NOT NULL DEFAULT 0,
ADD COLUMN replay_of bigint REFERENCES ops.file_ingestion_log (file_id),
ADD COLUMN rows_replayed bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN ops.file_ingestion_log.reload_requested_at IS
'When it was requested to load the archived file again; empty once it is claimed for that.';
COMMENT ON COLUMN ops.file_ingestion_log.reloads IS 'How often the archived file was claimed again.';
COMMENT ON COLUMN ops.file_ingestion_log.replay_of IS
'The file whose rejected rows this entry reads again. Its object_key is the key of that file and #rejects-N.';
COMMENT ON COLUMN ops.file_ingestion_log.rows_replayed IS
'Rejected rows that entries with this replay_of have taken over: they are counted there, and not in rows_read here.';

-- Two archived entries may have one key (A, B, A). Only one of them can be in incoming/ under it.
CREATE UNIQUE INDEX object_is_reloaded_once ON ops.file_ingestion_log (bucket, object_key)
WHERE reload_requested_at IS NOT NULL;
CREATE UNIQUE INDEX rejects_are_replayed_once ON ops.file_ingestion_log (replay_of)
WHERE replay_of IS NOT NULL AND settled_at IS NULL;
CREATE INDEX replays_of_file ON ops.file_ingestion_log (replay_of) WHERE replay_of IS NOT NULL;

ALTER TABLE ops.file_event
ADD COLUMN rows_read bigint,
ADD COLUMN rows_inserted bigint,
ADD COLUMN rows_updated bigint,
ADD COLUMN rows_unchanged bigint,
ADD COLUMN rows_duplicate bigint,
ADD COLUMN rows_rejected bigint,
ADD COLUMN rows_deleted bigint;
COMMENT ON COLUMN ops.file_event.rows_read IS
'The counts at this moment: those of an attempt stay here when the file is loaded again.';

CREATE OR REPLACE FUNCTION ops.keep_history() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO ops.file_event (
        file_id, status, stage, attempts, error_code, error_message, dag_id, run_id,
        rows_read, rows_inserted, rows_updated, rows_unchanged, rows_duplicate, rows_rejected, rows_deleted
    ) VALUES (
        NEW.file_id, NEW.status, NEW.stage, NEW.attempts, NEW.error_code, NEW.error_message, NEW.dag_id, NEW.run_id,
        NEW.rows_read, NEW.rows_inserted, NEW.rows_updated, NEW.rows_unchanged, NEW.rows_duplicate, NEW.rows_rejected,
        NEW.rows_deleted
    );
    RETURN NULL;
END $$;

-- Also when a reload is requested, so that counts from before this migration are kept, and when rows are replayed.
DROP TRIGGER keep_history_of_update ON ops.file_ingestion_log;
CREATE TRIGGER keep_history_of_update AFTER UPDATE ON ops.file_ingestion_log
FOR EACH ROW WHEN (
    old.status IS DISTINCT FROM new.status OR old.attempts IS DISTINCT FROM new.attempts
    OR old.error_code IS DISTINCT FROM new.error_code OR old.rows_replayed < new.rows_replayed
    OR (old.reload_requested_at IS NULL AND new.reload_requested_at IS NOT NULL)
)
EXECUTE FUNCTION ops.keep_history();

-- Rights, owner and search_path stay with a renamed function.
ALTER FUNCTION ops.forget_file_events(interval, integer) RENAME TO purge_file_events;
ALTER FUNCTION ops.forget_quality_results(integer) RENAME TO purge_quality_results;
ALTER FUNCTION ops.note_lock_wait(bigint, text) RENAME TO record_lock_wait;
ALTER FUNCTION ops.note_replaced_versions(bigint, text[]) RENAME TO record_replaced_versions;

ALTER TABLE ops.incoming_files RENAME COLUMN looked_at TO listed_at;
COMMENT ON TABLE ops.incoming_files IS 'The files in incoming/ at the last sweep: one row per dataset.';
COMMENT ON COLUMN ops.incoming_files.listed_at IS 'The time of the last sweep.';

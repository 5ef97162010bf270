-- In the merge's transaction. If another worker has begun the file, no row is changed and the merge is rolled back.
UPDATE ops.file_ingestion_log SET
    status = 'loaded', stage = 'settle', loaded_at = clock_timestamp(), rows_inserted = %(inserted)s,
    rows_updated = %(updated)s, rows_unchanged = %(unchanged)s, error_code = NULL, error_message = NULL
WHERE file_id = %(file_id)s AND attempts = %(attempts)s AND status = 'processed';

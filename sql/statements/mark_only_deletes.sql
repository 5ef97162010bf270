-- Mark a batch of messages that are all deletes as loaded, without rows. It has no content that could be a duplicate.
UPDATE ops.file_ingestion_log SET
    status = 'loaded', stage = 'settle', deletes_ignored = %(deletes_ignored)s, rows_read = 0, rows_inserted = 0,
    rows_updated = 0, rows_unchanged = 0, rows_duplicate = 0, rows_rejected = 0, rows_deleted = 0,
    validated_at = clock_timestamp(), processed_at = clock_timestamp(), loaded_at = clock_timestamp(),
    error_code = NULL, error_message = NULL
WHERE file_id = %(file_id)s AND attempts = %(attempts)s AND status = 'claimed';

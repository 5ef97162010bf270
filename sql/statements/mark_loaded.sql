-- Runs in the merge's transaction, which holds the dataset's lock. If another worker has begun the file, no row is
-- changed and the merge is rolled back.
WITH noted AS (
    UPDATE ops.file_ingestion_log SET
        status = 'loaded', stage = 'settle', loaded_at = clock_timestamp(), rows_inserted = %(inserted)s,
        rows_updated = %(updated)s, rows_unchanged = %(unchanged)s, rows_deleted = %(deleted)s,
        deletes = %(deletes)s, deletes_skipped = %(deletes_skipped)s,
        deletes_ignored = coalesce(%(deletes_ignored)s, deletes_ignored), resend_no = %(resend_no)s,
        error_code = NULL, error_message = NULL
    WHERE file_id = %(file_id)s AND attempts = %(attempts)s AND status = 'processed'
    RETURNING file_id, dataset
)

UPDATE ops.dataset_lock AS held SET last_file_id = noted.file_id
FROM noted
WHERE held.dataset = noted.dataset;

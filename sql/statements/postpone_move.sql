-- Postpone the move of a file that has its outcome, because of an outage: a later run retries it.
UPDATE ops.file_ingestion_log SET postponed_at = clock_timestamp()
WHERE file_id = %(file_id)s AND settled_at IS NULL;

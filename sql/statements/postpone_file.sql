-- Postpone a file because of an outage: it is retried later, and this attempt does not count.
UPDATE ops.file_ingestion_log SET
    attempts = greatest(attempts - 1, 0), status = 'claimed', error_code = %(code)s, error_message = %(message)s,
    postponed_at = clock_timestamp()
WHERE
    file_id = %(file_id)s AND attempts = %(attempts)s AND settled_at IS NULL
    AND status IN ('claimed', 'validated', 'processed');

-- Note a failure. Known values stay; they are changed only where new ones are given.
UPDATE ops.file_ingestion_log SET
    status = %(status)s, stage = 'settle', error_code = %(code)s, error_message = %(message)s,
    sha256 = coalesce(%(sha256)s, sha256), format = coalesce(%(format)s, format),
    rows_read = coalesce(%(rows_read)s, rows_read), rows_rejected = coalesce(%(rows_rejected)s, rows_rejected),
    rejects_by_code = coalesce(%(rejects_by_code)s::jsonb, rejects_by_code)
WHERE
    file_id = %(file_id)s AND attempts = %(attempts)s AND settled_at IS NULL
    AND status IN ('claimed', 'validated', 'processed');

UPDATE ops.file_ingestion_log SET
    status = 'validated', stage = 'process', validated_at = clock_timestamp(), sha256 = %(sha256)s,
    format = %(format)s, rows_read = %(rows_read)s, rows_rejected = %(rows_rejected)s,
    rejects_by_code = %(rejects_by_code)s::jsonb
WHERE file_id = %(file_id)s AND attempts = %(attempts)s AND status = 'claimed';

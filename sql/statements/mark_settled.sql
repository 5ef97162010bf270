UPDATE ops.file_ingestion_log SET
    settled_at = clock_timestamp(), settled_key = %(settled_key)s,
    status = CASE status WHEN 'loaded' THEN 'archived' ELSE status END
WHERE file_id = %(file_id)s AND settled_at IS NULL;

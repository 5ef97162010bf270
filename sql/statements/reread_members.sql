-- The keys in failed/ of the members that are read again with their archive.
SELECT settled_key FROM ops.file_ingestion_log
WHERE
    parent_file_id = %(file_id)s AND status LIKE '%%failed' AND reload_requested_at IS NOT NULL
    AND settled_key IS NOT NULL
ORDER BY file_id;

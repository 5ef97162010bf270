-- The newest entry of an object, by its key: a file that was claimed is not in incoming/ for long.
SELECT
    size_bytes,
    coalesce(settled_key, object_key) AS present_key,
    settled_at IS NOT NULL AS settled
FROM ops.file_ingestion_log
WHERE bucket = %(bucket)s AND object_key = %(key)s
ORDER BY file_id DESC
LIMIT 1;

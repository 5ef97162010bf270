-- The newest entry of an object that was claimed since a moment, by its key.
SELECT
    file_id,
    status,
    etag,
    settled_at IS NOT NULL AS settled
FROM ops.file_ingestion_log
WHERE bucket = %(bucket)s AND object_key = %(key)s AND claimed_at >= %(since)s
ORDER BY file_id DESC
LIMIT 1;

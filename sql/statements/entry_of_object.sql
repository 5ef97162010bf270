-- The newest entry of an object, by its key and content.
SELECT
    file_id,
    status,
    settled_at IS NOT NULL AS settled
FROM ops.file_ingestion_log
WHERE object_key = %(key)s AND (%(etag)s::text IS NULL OR etag = %(etag)s)
ORDER BY file_id DESC
LIMIT 1;

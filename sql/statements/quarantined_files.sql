-- Files in quarantine, those that lie there longest first.
SELECT
    dataset,
    object_key,
    settled_key
FROM ops.file_ingestion_log
WHERE
    bucket = %(bucket)s AND status = ANY(%(statuses)s) AND settled_key IS NOT NULL
    AND (%(dataset)s::text IS NULL OR dataset = %(dataset)s)
ORDER BY settled_at, file_id;

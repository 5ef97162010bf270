-- Files in quarantine, the oldest first.
SELECT
    dataset,
    object_key,
    settled_key,
    file_id,
    status,
    error_code,
    parent_file_id
FROM ops.file_ingestion_log
WHERE
    bucket = %(bucket)s AND status = ANY(%(statuses)s) AND settled_key IS NOT NULL
    AND (%(dataset)s::text IS NULL OR dataset = %(dataset)s)
    AND (%(file_ids)s::bigint[] IS NULL OR file_id = ANY(%(file_ids)s))
ORDER BY settled_at, file_id;

-- Files in quarantine, those that were refused first at the top.
SELECT
    file_id AS id,
    dataset,
    status,
    error_code AS code,
    object_key AS file,
    settled_key
FROM ops.file_ingestion_log
WHERE
    status = ANY(%(statuses)s) AND object_key IS NOT NULL AND settled_key IS NOT NULL
    AND (%(dataset)s::text IS NULL OR dataset = %(dataset)s)
    AND (%(file_ids)s::bigint[] IS NULL OR file_id = ANY(%(file_ids)s))
ORDER BY settled_at, file_id;

-- The newest entries of the ledger, for a person.
SELECT
    file_id AS id,
    status,
    dataset,
    rows_read AS read,
    rows_rejected AS rejected,
    error_code AS code,
    error_message AS message,
    claimed_at,
    settled_at,
    settled_key,
    rows_inserted + rows_updated + rows_unchanged AS loaded,
    coalesce(object_key, topic || ' ' || partition || ' ' || first_offset || '-' || last_offset) AS file
FROM ops.file_ingestion_log
WHERE
    (%(dataset)s::text IS NULL OR dataset = %(dataset)s)
    AND (NOT %(failed)s OR status LIKE '%%_failed')
ORDER BY file_id DESC
LIMIT %(most)s;

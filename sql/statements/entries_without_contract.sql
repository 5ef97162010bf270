-- Unsettled files of datasets that have no contract any more.
SELECT
    file_id,
    dataset,
    size_bytes,
    status,
    stage,
    attempts,
    run_id,
    bucket,
    object_key,
    etag,
    parent_file_id,
    (
        SELECT archive.object_key FROM ops.file_ingestion_log AS archive
        WHERE archive.file_id = entry.parent_file_id
    ) AS parent_key
FROM ops.file_ingestion_log AS entry
WHERE bucket = %(bucket)s AND settled_at IS NULL AND NOT dataset = any(%(datasets)s::text[])
ORDER BY file_id;

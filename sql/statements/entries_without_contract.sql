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
    etag
FROM ops.file_ingestion_log
WHERE bucket = %(bucket)s AND settled_at IS NULL AND NOT dataset = any(%(datasets)s::text[])
ORDER BY file_id;

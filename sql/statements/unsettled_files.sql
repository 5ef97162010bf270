-- Files that have their outcome and are still in incoming/.
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
WHERE
    dataset = %(dataset)s AND bucket = %(bucket)s AND settled_at IS NULL
    AND status IN ('loaded', 'validation_failed', 'processing_failed', 'loading_failed', 'duplicate')
ORDER BY file_id;

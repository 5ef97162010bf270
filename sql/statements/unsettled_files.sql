-- Files that have their outcome and are still in incoming/. Members of an archive are settled once it has an outcome.
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
WHERE
    dataset = %(dataset)s AND bucket = %(bucket)s AND settled_at IS NULL
    AND status IN ('loaded', 'validation_failed', 'processing_failed', 'loading_failed', 'duplicate')
    AND NOT EXISTS (
        SELECT FROM ops.file_ingestion_log AS archive
        WHERE archive.file_id = entry.parent_file_id AND archive.status IN ('claimed', 'validated', 'processed')
    )
ORDER BY file_id;

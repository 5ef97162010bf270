SELECT
    file_id,
    dataset,
    bucket,
    object_key,
    etag,
    size_bytes,
    status,
    stage,
    attempts,
    run_id
FROM ops.file_ingestion_log
WHERE file_id = %(file_id)s;

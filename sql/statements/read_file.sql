SELECT
    file_id,
    dataset,
    size_bytes,
    status,
    stage,
    attempts,
    run_id,
    coalesce(bucket, '') AS bucket,
    coalesce(object_key, format('%%s[%%s] %%s-%%s', topic, partition, first_offset, last_offset)) AS object_key,
    coalesce(etag, '') AS etag
FROM ops.file_ingestion_log
WHERE file_id = %(file_id)s;

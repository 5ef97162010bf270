SELECT  -- noqa: ST06
    file_id,
    dataset,
    size_bytes,
    status,
    stage,
    attempts,
    run_id,
    coalesce(bucket, '') AS bucket,
    coalesce(object_key, format('%%s[%%s] %%s-%%s', topic, partition, first_offset, last_offset)) AS object_key,
    coalesce(etag, '') AS etag,
    parent_file_id,
    (
        SELECT archive.object_key FROM ops.file_ingestion_log AS archive
        WHERE archive.file_id = entry.parent_file_id
    ) AS parent_key
FROM ops.file_ingestion_log AS entry
WHERE file_id = %(file_id)s;

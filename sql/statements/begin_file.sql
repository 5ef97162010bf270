-- Begin a new attempt of a file from the first stage; delete the rejected rows of earlier attempts.
-- No row if the file has its outcome already.
WITH deleted AS (
    DELETE FROM ops.rejected_rows
    WHERE file_id = %(file_id)s
)

UPDATE ops.file_ingestion_log AS entry SET
    attempts = attempts + 1, status = 'claimed', stage = 'validate', error_code = NULL, error_message = NULL
WHERE file_id = %(file_id)s AND settled_at IS NULL AND status IN ('claimed', 'validated', 'processed')
RETURNING
    file_id, dataset, size_bytes, status, stage, attempts, run_id, coalesce(bucket, '') AS bucket,
    coalesce(object_key, format('%%s[%%s] %%s-%%s', topic, partition, first_offset, last_offset)) AS object_key,
    coalesce(etag, '') AS etag, parent_file_id, (
        SELECT archive.object_key FROM ops.file_ingestion_log AS archive
        WHERE archive.file_id = entry.parent_file_id
    ) AS parent_key;

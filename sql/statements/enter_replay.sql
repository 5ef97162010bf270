-- Enter the replay of a file's rejected rows. It counts as written when the file was. No row if another one is entered.
INSERT INTO ops.file_ingestion_log (
    dataset, bucket, object_key, etag, size_bytes, modified_at, first_modified_at, contract_version, replay_of
)
SELECT
    dataset,
    bucket,
    %(key)s,
    %(etag)s,
    size_bytes,
    modified_at,
    first_modified_at,
    contract_version,
    file_id
FROM ops.file_ingestion_log
WHERE file_id = %(file_id)s AND status = 'archived' AND rows_rejected > 0
ON CONFLICT DO NOTHING
RETURNING file_id;

-- Files of a dataset without an outcome, in the order in which they were written. Members of an archive are ingested
-- with it.
SELECT
    file_id,
    size_bytes,
    attempts
FROM ops.file_ingestion_log
WHERE
    dataset = %(dataset)s AND bucket = %(bucket)s AND settled_at IS NULL
    AND status IN ('claimed', 'validated', 'processed') AND parent_file_id IS NULL
ORDER BY modified_at ASC NULLS FIRST, object_key COLLATE "C" ASC, file_id ASC
LIMIT %(most)s;

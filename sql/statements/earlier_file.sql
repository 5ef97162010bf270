-- A file of the same dataset and bucket that was written before this one and has no outcome yet.
WITH own AS (
    SELECT
        file_id,
        dataset,
        bucket,
        modified_at,
        object_key COLLATE "C" AS sorted_key
    FROM ops.file_ingestion_log
    WHERE file_id = %(file_id)s
),

waiting AS (
    SELECT
        file_id,
        dataset,
        bucket,
        modified_at,
        object_key COLLATE "C" AS sorted_key
    FROM ops.file_ingestion_log
    WHERE settled_at IS NULL AND status IN ('claimed', 'validated', 'processed')
)

SELECT
    waiting.file_id,
    waiting.sorted_key
FROM own
INNER JOIN waiting
    ON own.dataset = waiting.dataset AND own.bucket = waiting.bucket AND own.file_id <> waiting.file_id
WHERE (waiting.modified_at, waiting.sorted_key) < (own.modified_at, own.sorted_key)
ORDER BY waiting.modified_at ASC, waiting.sorted_key ASC
LIMIT 1;

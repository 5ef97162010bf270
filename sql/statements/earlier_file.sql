-- A file of the same dataset and bucket that was written before this one and has no outcome yet. A member of an archive
-- has the turn of its archive, and so waits neither for that nor for its other members, which are ingested in order.
-- No file waits for a member: its archive has no outcome either.
WITH own AS (
    SELECT
        entry.file_id,
        entry.dataset,
        entry.bucket,
        CASE WHEN archive.file_id IS NULL THEN entry.modified_at ELSE archive.modified_at END AS modified_at,
        coalesce(archive.object_key, entry.object_key) COLLATE "C" AS sorted_key  -- noqa: RF02
    FROM ops.file_ingestion_log AS entry
    LEFT JOIN ops.file_ingestion_log AS archive ON entry.parent_file_id = archive.file_id
    WHERE entry.file_id = %(file_id)s  -- noqa: RF02
)

SELECT
    waiting.file_id,
    waiting.object_key
FROM own
INNER JOIN ops.file_ingestion_log AS waiting ON own.dataset = waiting.dataset AND own.bucket = waiting.bucket
WHERE
    waiting.settled_at IS NULL AND waiting.status IN ('claimed', 'validated', 'processed')
    AND waiting.parent_file_id IS NULL
    AND (waiting.modified_at, waiting.object_key COLLATE "C") < (own.modified_at, own.sorted_key)  -- noqa: RF02
ORDER BY waiting.modified_at ASC, waiting.object_key COLLATE "C" ASC  -- noqa: RF02
LIMIT 1;

-- A file of the same dataset and bucket that was written before this one and has no outcome yet. A member of an archive
-- has the turn of its archive, and so waits neither for that nor for its other members, which are ingested in order.
WITH files AS (
    SELECT
        entry.file_id,
        entry.dataset,
        entry.bucket,
        entry.settled_at,
        entry.status,
        CASE WHEN archive.file_id IS NULL THEN entry.modified_at ELSE archive.modified_at END AS modified_at,
        coalesce(archive.object_key, entry.object_key) COLLATE "C" AS sorted_key  -- noqa: RF02
    FROM ops.file_ingestion_log AS entry
    LEFT JOIN ops.file_ingestion_log AS archive ON entry.parent_file_id = archive.file_id
)

SELECT
    waiting.file_id,
    waiting.sorted_key
FROM files AS own
INNER JOIN files AS waiting
    ON own.dataset = waiting.dataset AND own.bucket = waiting.bucket AND own.file_id <> waiting.file_id
WHERE
    own.file_id = %(file_id)s  -- noqa: RF02
    AND waiting.settled_at IS NULL AND waiting.status IN ('claimed', 'validated', 'processed')
    AND (waiting.modified_at, waiting.sorted_key) < (own.modified_at, own.sorted_key)
ORDER BY waiting.modified_at ASC, waiting.sorted_key ASC
LIMIT 1;

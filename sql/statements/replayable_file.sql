-- An entry whose rejected rows may be replayed: the file that has their content, and the number of the next replay.
WITH RECURSIVE replayed AS (
    SELECT
        file_id,
        replay_of
    FROM ops.file_ingestion_log
    WHERE file_id = %(file_id)s AND bucket = %(bucket)s
    UNION ALL
    SELECT
        entry.file_id,
        entry.replay_of
    FROM replayed
    INNER JOIN ops.file_ingestion_log AS entry ON replayed.replay_of = entry.file_id
),

same_file AS (
    SELECT file_id FROM replayed
    WHERE replay_of IS NULL
    UNION ALL
    SELECT entry.file_id FROM same_file
    INNER JOIN ops.file_ingestion_log AS entry ON same_file.file_id = entry.replay_of
),

counted AS (
    SELECT
        min(same_file.file_id) AS content_id,
        count(*) AS next_number,
        bool_or(
            entry.settled_at IS NULL OR entry.reload_requested_at IS NOT NULL
            OR (archive.file_id IS NOT NULL AND archive.settled_at IS NULL) OR archive.reload_requested_at IS NOT NULL
        ) AS is_in_flight
    FROM same_file
    INNER JOIN ops.file_ingestion_log AS entry ON same_file.file_id = entry.file_id
    LEFT JOIN ops.file_ingestion_log AS archive ON entry.parent_file_id = archive.file_id
)

SELECT
    origin.dataset,
    origin.status,
    content.object_key,
    counted.next_number,
    counted.is_in_flight,
    coalesce(origin.rows_rejected, 0) AS rows_rejected
FROM counted
INNER JOIN ops.file_ingestion_log AS content ON counted.content_id = content.file_id
INNER JOIN ops.file_ingestion_log AS origin ON origin.file_id = %(file_id)s;  -- noqa: RF02

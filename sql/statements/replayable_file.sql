-- An entry whose rejected rows may be replayed: the file that has their content, and the number of the next replay.
WITH RECURSIVE replayed AS (
    SELECT
        file_id,
        replay_of
    FROM ops.file_ingestion_log
    WHERE file_id = %(file_id)s
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
)

SELECT
    origin.dataset,
    origin.status,
    coalesce(origin.rows_rejected, 0) AS rows_rejected,
    content.object_key,
    (SELECT count(*) FROM same_file) AS next_number,
    EXISTS (
        SELECT FROM ops.file_ingestion_log AS other INNER JOIN same_file ON other.file_id = same_file.file_id
        WHERE other.settled_at IS NULL OR other.reload_requested_at IS NOT NULL
    ) AS is_in_flight
FROM ops.file_ingestion_log AS origin
INNER JOIN replayed ON replayed.replay_of IS NULL
INNER JOIN ops.file_ingestion_log AS content ON replayed.file_id = content.file_id
WHERE origin.file_id = %(file_id)s AND origin.bucket = %(bucket)s;

-- Of a replay: the entry whose rejected rows it reads again (`origin`), and the file that has their content, which is
-- the origin or the file that the origin itself replays. No row for any other entry.
WITH RECURSIVE replayed AS (
    SELECT
        replay_of AS file_id,
        0 AS distance
    FROM ops.file_ingestion_log
    WHERE file_id = %(file_id)s AND replay_of IS NOT NULL
    UNION ALL
    SELECT
        entry.replay_of,
        replayed.distance + 1
    FROM replayed
    INNER JOIN ops.file_ingestion_log AS entry ON replayed.file_id = entry.file_id
    WHERE entry.replay_of IS NOT NULL
)

SELECT
    origin.file_id AS origin_id,
    origin.status = 'archived' AND content.status = 'archived' AS is_archived,
    origin.rows_rejected,
    origin.settled_key AS origin_key,
    content.file_id,
    content.settled_key,
    content.sha256
FROM ops.file_ingestion_log AS origin
CROSS JOIN ops.file_ingestion_log AS content
WHERE
    origin.file_id = (SELECT file_id FROM replayed WHERE distance = 0)
    AND content.file_id = (SELECT file_id FROM replayed ORDER BY distance DESC LIMIT 1);

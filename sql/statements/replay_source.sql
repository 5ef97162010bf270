-- Of a replay: the entry whose rejected rows it reads again (`origin`), and the file that has their content, which is
-- the origin or the file that the origin itself replays. If that is a member of an archive, its number and the archive.
-- No row for any other entry.
WITH RECURSIVE replayed AS (
    SELECT
        replay_of AS file_id,
        0 AS distance
    FROM ops.file_ingestion_log
    WHERE file_id = %(file_id)s AND replay_of IS NOT NULL
    UNION ALL
    SELECT
        entry.replay_of AS file_id,
        replayed.distance + 1 AS distance
    FROM replayed
    INNER JOIN ops.file_ingestion_log AS entry ON replayed.file_id = entry.file_id
    WHERE entry.replay_of IS NOT NULL
),

found AS (
    SELECT
        min(file_id) FILTER (WHERE distance = 0) AS origin_id,
        min(file_id) AS content_id  -- an entry is younger than what it replays
    FROM replayed
)

SELECT
    origin.file_id AS origin_id,
    origin.rows_rejected,
    origin.settled_key AS origin_key,
    content.file_id AS content_id,
    content.sha256,
    content.member_number,
    archive.object_key AS parent_key,
    coalesce(archive.settled_key, content.settled_key) AS content_key,
    (origin.status = 'archived' AND content.status = 'archived') AS is_archived
FROM found
INNER JOIN ops.file_ingestion_log AS origin ON found.origin_id = origin.file_id
INNER JOIN ops.file_ingestion_log AS content ON found.content_id = content.file_id
LEFT JOIN ops.file_ingestion_log AS archive ON content.parent_file_id = archive.file_id;

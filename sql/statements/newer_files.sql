-- Of a file that is loaded again, or whose rejected rows are replayed: the files of its dataset whose rows are newer,
-- because they were written later, or came as messages. `is_same_file` marks the other entries of the same content: its
-- rows are newer by their number. No row for any other file: it is the newest.
WITH RECURSIVE own AS (
    SELECT
        file_id,
        dataset,
        modified_at,
        replay_of,
        object_key COLLATE "C" AS sorted_key
    FROM ops.file_ingestion_log AS entry
    WHERE
        file_id = %(file_id)s
        AND (
            reloads > 0 OR replay_of IS NOT NULL
            -- A member that is first loaded with an archive that is loaded again is as old as that.
            OR EXISTS (
                SELECT FROM ops.file_ingestion_log AS archive
                WHERE
                    archive.file_id = entry.parent_file_id AND archive.reloads > 0
                    AND archive.modified_at = entry.modified_at
            )
        )
),

replayed AS (
    SELECT
        file_id,
        replay_of
    FROM own
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
    other.file_id,
    same_file.file_id IS NOT NULL AS is_same_file
FROM own
INNER JOIN ops.file_ingestion_log AS other ON own.dataset = other.dataset AND own.file_id <> other.file_id
LEFT JOIN same_file ON other.file_id = same_file.file_id
WHERE
    same_file.file_id IS NOT NULL OR own.modified_at IS NULL OR other.modified_at IS NULL
    OR (other.modified_at, other.object_key COLLATE "C") > (own.modified_at, own.sorted_key);  -- noqa: RF02

-- Runs in the merge's transaction, which holds the dataset's lock. If another worker has begun the file, no row is
-- changed and the merge is rolled back. The same happens to a replay whose rows are not those that its file counts as
-- rejected any more.
WITH RECURSIVE noted AS (
    UPDATE ops.file_ingestion_log SET
        status = 'loaded', stage = 'settle', loaded_at = clock_timestamp(), rows_inserted = %(inserted)s,
        rows_updated = %(updated)s, rows_unchanged = %(unchanged)s, rows_deleted = %(deleted)s,
        deletes = %(deletes)s, deletes_skipped = %(deletes_skipped)s,
        deletes_ignored = coalesce(%(deletes_ignored)s, deletes_ignored), resend_no = %(resend_no)s,
        error_code = NULL, error_message = NULL
    WHERE file_id = %(file_id)s AND attempts = %(attempts)s AND status = 'processed'
    RETURNING file_id, dataset, replay_of, rows_read
),

-- A replayed row is counted once: it leaves the counts of the file that it was rejected in.
handed_over AS (
    UPDATE ops.file_ingestion_log AS origin SET
        rows_read = origin.rows_read - noted.rows_read, rows_rejected = origin.rows_rejected - noted.rows_read,
        rows_replayed = origin.rows_replayed + noted.rows_read, rejects_by_code = '{}'
    FROM noted
    WHERE
        origin.file_id = noted.replay_of AND origin.status = 'archived' AND origin.rows_rejected = noted.rows_read
    RETURNING origin.file_id
),

purged AS (
    DELETE FROM ops.rejected_rows AS rejected
    USING handed_over
    WHERE rejected.file_id = handed_over.file_id
),

-- A file that is loaded again counts all of its rows itself.
replays AS (
    SELECT
        entry.file_id,
        noted.file_id AS counted_in
    FROM noted
    INNER JOIN ops.file_ingestion_log AS entry ON noted.file_id = entry.replay_of
    UNION ALL
    SELECT
        entry.file_id,
        replays.counted_in
    FROM replays
    INNER JOIN ops.file_ingestion_log AS entry ON replays.file_id = entry.replay_of
),

taken_back AS (
    UPDATE ops.file_ingestion_log AS entry SET
        status = 'duplicate', error_code = 'duplicate-content', error_message = %(taken_back)s,
        rows_read = NULL, rows_inserted = NULL, rows_updated = NULL, rows_unchanged = NULL, rows_duplicate = NULL,
        rows_rejected = NULL, rejects_by_code = NULL, rows_replayed = 0
    FROM replays
    WHERE entry.file_id = replays.file_id AND entry.status = 'archived'
)

UPDATE ops.dataset_lock AS held SET
    last_file_id = CASE WHEN %(is_newest)s THEN noted.file_id ELSE held.last_file_id END
FROM noted
WHERE
    held.dataset = noted.dataset
    AND (noted.replay_of IS NULL OR EXISTS (SELECT FROM handed_over));

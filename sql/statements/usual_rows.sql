-- The median of the rows in the dataset's last ten loaded files. Batches of messages, replays of rejected rows, and
-- entries without rows of their own, are no such files.
SELECT
    count(*) AS files,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY rows_read)::numeric AS usual
FROM (
    SELECT rows_read + rows_replayed AS rows_read FROM ops.file_ingestion_log
    WHERE
        dataset = %(dataset)s AND status IN ('loaded', 'archived') AND bucket IS NOT NULL
        AND rows_read + rows_replayed > 0 AND replay_of IS NULL AND file_id <> %(file_id)s
    ORDER BY loaded_at DESC, file_id DESC
    LIMIT 10
) AS last_files;

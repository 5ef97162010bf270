-- Archived files of a dataset, the oldest first. Replays are left out: their rows are in the file that they replay.
SELECT
    file_id,
    object_key,
    settled_key,
    rows_replayed,
    rows_read + rows_replayed AS rows,
    CASE WHEN reload_requested_at IS NOT NULL THEN etag END AS requested_etag
FROM ops.file_ingestion_log
WHERE
    dataset = %(dataset)s AND bucket = %(bucket)s AND status = 'archived' AND settled_key IS NOT NULL
    AND replay_of IS NULL
    AND (%(file_ids)s::bigint[] IS NULL OR file_id = any(%(file_ids)s))
ORDER BY coalesce(first_modified_at, modified_at) ASC NULLS FIRST, object_key COLLATE "C" ASC, file_id ASC;

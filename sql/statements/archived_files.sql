-- Archived files of a dataset, the oldest first. Replays and members of archives are left out: their rows are in the
-- file that they replay, or come with their archive.
SELECT
    entry.file_id,
    entry.object_key,
    entry.settled_key,
    entry.rows_replayed + coalesce(members.rows_replayed, 0) AS rows_replayed,
    entry.rows_read + entry.rows_replayed + coalesce(members.rows, 0) AS rows,
    CASE WHEN entry.reload_requested_at IS NOT NULL THEN entry.etag END AS requested_etag
FROM ops.file_ingestion_log AS entry
LEFT JOIN LATERAL (
    SELECT
        sum(member.rows_replayed)::bigint AS rows_replayed,
        sum(member.rows_read + member.rows_replayed)::bigint AS rows
    FROM ops.file_ingestion_log AS member
    WHERE member.parent_file_id = entry.file_id AND member.status = 'archived'
) AS members ON TRUE
WHERE
    entry.dataset = %(dataset)s AND entry.bucket = %(bucket)s AND entry.status = 'archived'  -- noqa: RF02
    AND entry.settled_key IS NOT NULL AND entry.replay_of IS NULL AND entry.parent_file_id IS NULL
    AND (%(file_ids)s::bigint[] IS NULL OR entry.file_id = any(%(file_ids)s))  -- noqa: RF02
ORDER BY
    coalesce(entry.first_modified_at, entry.modified_at) ASC NULLS FIRST,
    entry.object_key COLLATE "C" ASC, entry.file_id ASC;  -- noqa: RF02

-- Note that an archived file is to be loaded again: the claim reopens its entry once the object is in incoming/. The
-- ETag becomes that of the archived copy, which a move keeps. No row while another entry of the same key is in flight.
UPDATE ops.file_ingestion_log AS entry SET
    reload_requested_at = coalesce(entry.reload_requested_at, clock_timestamp()), etag = %(etag)s
WHERE
    entry.file_id = %(file_id)s AND entry.settled_key = %(settled_key)s AND entry.status = 'archived'
    AND NOT EXISTS (
        SELECT FROM ops.file_ingestion_log AS other
        WHERE
            other.bucket = entry.bucket AND other.object_key = entry.object_key AND other.file_id <> entry.file_id
            AND (other.settled_at IS NULL OR other.reload_requested_at IS NOT NULL)
    )
    AND NOT EXISTS (
        SELECT FROM ops.file_ingestion_log AS replay
        LEFT JOIN ops.file_ingestion_log AS member ON replay.replay_of = member.file_id
        WHERE entry.file_id IN (replay.replay_of, member.parent_file_id) AND replay.settled_at IS NULL
    )
RETURNING entry.file_id;

-- Update claimed entries of objects that were overwritten before they were read, with the same content or another: the
-- entry then describes the new version. A replay and a member of an archive read another object, and the members of an
-- archive, once entered, are those of its version: what replaces these is a file like any other.
WITH found AS (
    SELECT * FROM unnest(
        %(keys)s::text[], %(etags)s::text[], %(sizes)s::bigint[], %(modified)s::timestamptz[]
    ) AS f (object_key, etag, size_bytes, modified_at)
)

UPDATE ops.file_ingestion_log AS entry SET
    etag = found.etag, size_bytes = found.size_bytes, modified_at = found.modified_at,
    first_modified_at = found.modified_at
FROM found
WHERE
    entry.dataset = %(dataset)s AND entry.bucket = %(bucket)s AND entry.object_key = found.object_key
    AND entry.settled_at IS NULL AND entry.status = 'claimed' AND entry.replay_of IS NULL
    AND entry.parent_file_id IS NULL AND entry.members_passed_over IS NULL
    AND (entry.etag <> found.etag OR entry.modified_at < found.modified_at)
    AND NOT EXISTS (
        SELECT FROM ops.file_ingestion_log AS other
        WHERE
            other.bucket = entry.bucket AND other.object_key = found.object_key AND other.etag = found.etag
            AND other.settled_at IS NULL AND other.file_id <> entry.file_id
    );

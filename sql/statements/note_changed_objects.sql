-- Entries that wait to be read, of objects that were overwritten since: they are about the new version now.
UPDATE ops.file_ingestion_log AS entry SET etag = found.etag, size_bytes = found.size_bytes
FROM unnest(%(keys)s::text[], %(etags)s::text[], %(sizes)s::bigint[]) AS found (object_key, etag, size_bytes)
WHERE
    entry.dataset = %(dataset)s AND entry.bucket = %(bucket)s AND entry.object_key = found.object_key
    AND entry.settled_at IS NULL AND entry.status = 'claimed' AND entry.etag <> found.etag
    AND NOT EXISTS (
        SELECT FROM ops.file_ingestion_log AS other
        WHERE
            other.bucket = entry.bucket AND other.object_key = found.object_key AND other.etag = found.etag
            AND other.settled_at IS NULL
    );

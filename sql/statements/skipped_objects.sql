-- Objects that a run skips: the store refused to serve them, as the ledger shows; or, with a back-off, their last try
-- is more recent than the back-off.
SELECT
    found.object_key,
    found.etag
FROM unnest(%(keys)s::text[], %(etags)s::text[]) AS found (object_key, etag)
WHERE
    EXISTS (
        SELECT FROM ops.file_ingestion_log AS entry
        WHERE
            entry.bucket = %(bucket)s AND entry.object_key = found.object_key AND entry.etag = found.etag
            AND entry.settled_at IS NOT NULL AND entry.settled_key = entry.object_key
    )
    OR EXISTS (
        SELECT FROM ops.file_ingestion_log AS entry
        WHERE
            entry.bucket = %(bucket)s AND entry.object_key = found.object_key AND entry.etag = found.etag
            AND entry.settled_at IS NULL AND entry.postponed_at > now() - %(back_off)s::interval
    );

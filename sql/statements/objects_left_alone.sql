-- Which of these objects no run can do anything about now: the store refuses to serve them, and the ledger says so; or,
-- where a back-off is given, their last try is less than that ago.
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

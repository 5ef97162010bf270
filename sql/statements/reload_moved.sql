-- Note that the object of a file to be loaded again is in incoming/, with the ETag that it has there.
UPDATE ops.file_ingestion_log SET settled_key = NULL, etag = %(etag)s
WHERE file_id = %(file_id)s AND reload_requested_at IS NOT NULL;

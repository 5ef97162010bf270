-- The store's ETag of a replay's own object, where it is another one than the MD5 of the content.
UPDATE ops.file_ingestion_log SET etag = %(etag)s
WHERE file_id = %(file_id)s AND settled_at IS NULL AND etag <> %(etag)s;

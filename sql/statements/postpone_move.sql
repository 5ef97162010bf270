-- A file whose outcome is decided could not be moved for a reason outside of it: a later run tries again.
UPDATE ops.file_ingestion_log SET postponed_at = clock_timestamp()
WHERE file_id = %(file_id)s AND settled_at IS NULL;

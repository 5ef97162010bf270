-- Those of these keys in incoming/ that a file had once, or that are chosen for a copy.
SELECT object_key FROM ops.file_ingestion_log
WHERE bucket = %(bucket)s AND object_key = any(%(keys)s)
UNION
SELECT target_key FROM ops.source_object
WHERE target_key = any(%(keys)s);

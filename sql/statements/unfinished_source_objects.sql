-- Copies of a source that began and were not found to be there.
SELECT
    bucket,
    object_key,
    size_bytes,
    target_key
FROM ops.source_object
WHERE source = %(source)s AND copied_at IS NULL
ORDER BY begun_at;

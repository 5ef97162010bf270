-- Copies of a source that began and were not found to be there, the latest first. Those of a run that died are among
-- them: the others are of objects that the source refuses, of which there may be very many.
SELECT
    bucket,
    object_key,
    size_bytes,
    target_key
FROM ops.source_object
WHERE source = %(source)s AND copied_at IS NULL
ORDER BY begun_at DESC
LIMIT 1000;

-- What is known of these objects of a bucket source, and a note that a listing shows them.
WITH shown AS (
    UPDATE ops.source_object SET listed_at = clock_timestamp(), missing_since = NULL
    WHERE
        source = %(source)s AND bucket = %(bucket)s AND object_key = any(%(keys)s)
        AND (missing_since IS NOT NULL OR listed_at < now() - %(refresh)s)
)

SELECT
    object_key,
    etag,
    target_key,
    version_no,
    full_run_id,
    copied_at IS NOT NULL AS is_copied
FROM ops.source_object
WHERE source = %(source)s AND bucket = %(bucket)s AND object_key = any(%(keys)s);

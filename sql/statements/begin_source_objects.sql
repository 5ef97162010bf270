-- Note the keys of copies that begin. An object that another run has copied meanwhile, or which a newer run copies, is
-- not among the rows that are returned.
INSERT INTO ops.source_object AS kept (
    source, bucket, object_key, etag, size_bytes, modified_at, target_key, version_no, source_run_id, full_run_id
)
SELECT
    %(source)s,
    %(bucket)s,
    object_key,
    etag,
    size_bytes,
    modified_at,
    target_key,
    version_no,
    %(source_run_id)s,
    %(full_run_id)s
FROM
    unnest(
        %(keys)s::text[], %(etags)s::text[], %(sizes)s::bigint[], %(modified)s::timestamptz[], %(targets)s::text[],
        %(versions)s::integer[]
    ) AS new (object_key, etag, size_bytes, modified_at, target_key, version_no)
ON CONFLICT (source, bucket, object_key) DO UPDATE
    SET
        etag = excluded.etag,
        size_bytes = excluded.size_bytes,
        modified_at = excluded.modified_at,
        target_key = excluded.target_key,
        version_no = excluded.version_no,
        source_run_id = excluded.source_run_id,
        full_run_id = excluded.full_run_id,
        begun_at = clock_timestamp(),
        copied_at = NULL,
        listed_at = clock_timestamp(),
        missing_since = NULL
    WHERE
    kept.source_run_id <= excluded.source_run_id
    AND (
        kept.copied_at IS NULL
        OR kept.etag <> excluded.etag
        OR (excluded.full_run_id IS NOT NULL AND kept.full_run_id IS DISTINCT FROM excluded.full_run_id)
    )
RETURNING object_key;

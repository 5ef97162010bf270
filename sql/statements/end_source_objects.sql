-- Note copies that are there, each once, and count them in the runs that began them.
WITH there AS (
    UPDATE ops.source_object AS kept SET copied_at = clock_timestamp()
    FROM unnest(%(keys)s::text[], %(targets)s::text[]) AS copy (object_key, target_key)
    WHERE
        kept.source = %(source)s AND kept.bucket = %(bucket)s
        AND kept.object_key = copy.object_key AND kept.target_key = copy.target_key
        AND kept.copied_at IS NULL
    RETURNING kept.object_key, kept.size_bytes, kept.source_run_id
),

counted AS (
    UPDATE ops.source_run AS run SET
        records_read = run.records_read + new.copies,
        records_written = run.records_written + new.copies,
        bytes = run.bytes + new.size_bytes
    FROM (
        SELECT
            source_run_id,
            count(*) AS copies,
            sum(size_bytes) AS size_bytes
        FROM there
        GROUP BY source_run_id
    ) AS new
    WHERE run.source_run_id = new.source_run_id
)

SELECT object_key FROM there;

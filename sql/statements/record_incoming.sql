-- Save the number and size of files in incoming/ by dataset; delete the rows of other datasets.
WITH seen AS (
    SELECT * FROM unnest(
        %(datasets)s::text[], %(files)s::bigint[], %(sizes)s::bigint[], %(oldest)s::timestamptz[]
    ) AS s (dataset, files, size_bytes, oldest_at)
),

deleted AS (
    DELETE FROM ops.incoming_files AS known
    WHERE known.bucket = %(bucket)s AND NOT known.dataset = any(%(datasets)s::text[])
)

INSERT INTO ops.incoming_files (bucket, dataset, files, size_bytes, oldest_at)
SELECT
    %(bucket)s,
    dataset,
    files,
    size_bytes,
    oldest_at
FROM seen
ON CONFLICT (bucket, dataset) DO UPDATE SET
    files = excluded.files, size_bytes = excluded.size_bytes, oldest_at = excluded.oldest_at,
    listed_at = excluded.listed_at;

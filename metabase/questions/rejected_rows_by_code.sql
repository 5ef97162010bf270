-- title: Rejected rows by code
-- description: Bad cells and broken rules; a row may have several.
-- chart: row
-- x: code
-- y: [rejects]
-- columns:
--   code: {label: Code}
--   rejects: {label: Rejects, format: integer}
-- filters: {start_date: date, end_date: date, dataset: text}
WITH rejects AS (
    SELECT jsonb_each_text(rejects_by_code) AS counted
    FROM ops.file_ingestion_log
    WHERE
        TRUE
        AND (claimed_at AT TIME ZONE 'UTC')::date >= %(start_date)s
        AND (claimed_at AT TIME ZONE 'UTC')::date <= %(end_date)s
        AND dataset = %(dataset)s
)

SELECT
    (counted).key AS code,
    sum((counted).value::bigint)::bigint AS rejects
FROM rejects
GROUP BY code
ORDER BY rejects DESC, code ASC

-- Each line: subject | count of the ledger | actual count. All queries use one snapshot, so that a running load does not
-- cause a difference: rows and ledger are committed together.
BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT 'files whose counts do not add up', 0, count(*)
FROM ops.file_ingestion_log
WHERE status IN ('loaded', 'archived')
AND rows_read != rows_inserted + rows_updated + rows_unchanged + rows_duplicate + rows_rejected;
SELECT string_agg(
    format('SELECT %L, %s, count(*) FROM raw.%I', 'rows of raw.' || dataset, rows, dataset),
    ' UNION ALL ' ORDER BY dataset
)
FROM (
    SELECT dataset, sum(rows_inserted) - coalesce(sum(rows_deleted) FILTER (WHERE deletes = 'hard'), 0) AS rows
    FROM ops.file_ingestion_log
    WHERE status IN ('loaded', 'archived') AND to_regclass(format('raw.%I', dataset)) IS NOT NULL
    GROUP BY dataset
) AS loaded
\gexec
COMMIT;

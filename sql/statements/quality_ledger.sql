-- Totals of a dataset from the ledger: loaded entries, entries whose row counts do not add up, inserted rows less the
-- deleted ones (marked rows stay), and the time of the last load. A batch without accepted or changed rows is an entry,
-- too.
SELECT
    count(*) AS entries,
    count(*) FILTER (
        WHERE
        rows_read IS DISTINCT FROM rows_inserted + rows_updated + rows_unchanged + rows_duplicate + rows_rejected
    ) AS unbalanced,
    (
        coalesce(sum(rows_inserted), 0) - coalesce(sum(rows_deleted) FILTER (WHERE deletes = 'hard'), 0)
    )::bigint AS remaining,
    max(loaded_at) AS newest
FROM ops.file_ingestion_log
WHERE dataset = %(dataset)s AND status IN ('loaded', 'archived');

-- What the ledger says of a dataset: entries that were loaded, those whose rows do not add up, rows that came in, and
-- when the last entry came. A delivery in which every message was refused, or nothing had changed, is an entry too.
SELECT
    count(*) AS entries,
    count(*) FILTER (
        WHERE
        rows_read IS DISTINCT FROM rows_inserted + rows_updated + rows_unchanged + rows_duplicate + rows_rejected
    ) AS unbalanced,
    coalesce(sum(rows_inserted), 0)::bigint AS inserted,
    max(loaded_at) AS newest
FROM ops.file_ingestion_log
WHERE dataset = %(dataset)s AND status IN ('loaded', 'archived');

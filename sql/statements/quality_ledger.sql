-- What the ledger says of a dataset: entries that were loaded, and those whose rows do not add up.
SELECT
    count(*) AS entries,
    count(*) FILTER (
        WHERE
        rows_read IS DISTINCT FROM rows_inserted + rows_updated + rows_unchanged + rows_duplicate + rows_rejected
    ) AS unbalanced
FROM ops.file_ingestion_log
WHERE dataset = %(dataset)s AND status IN ('loaded', 'archived');

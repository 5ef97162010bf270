-- What the ledger holds of a dataset: its entries, those of other buckets, and a file that a worker has begun and not
-- finished.
SELECT
    count(*) AS entries,
    count(*) FILTER (WHERE bucket <> %(bucket)s) AS elsewhere,
    min(file_id) FILTER (
        WHERE settled_at IS NULL AND attempts > 0 AND status IN ('claimed', 'validated', 'processed')
    ) AS in_progress
FROM ops.file_ingestion_log
WHERE dataset = %(dataset)s;

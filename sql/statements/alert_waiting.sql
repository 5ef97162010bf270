-- Files and batches of a dataset that wait longer than a limit because of an outage, by reason code.
SELECT
    CASE WHEN status IN ('claimed', 'validated', 'processed') THEN error_code ELSE 'bucket-unavailable' END AS code,
    count(*) AS files,
    min(claimed_at) AS since
FROM ops.file_ingestion_log
WHERE
    dataset = %(dataset)s AND settled_at IS NULL AND postponed_at IS NOT NULL
    AND claimed_at < now() - %(waited)s::interval
    AND (status NOT IN ('claimed', 'validated', 'processed') OR error_code IS NOT NULL)
GROUP BY 1
ORDER BY 1;

-- Every file of the ledger is counted under exactly one outcome; rows with an outcome are at most the rows read.
WITH counted AS (
    SELECT
        dataset,
        sum(files) AS files,
        sum(files_loaded + files_failed + files_duplicate + files_in_flight) AS by_outcome,
        sum(files_failed - files_validation_failed - files_processing_failed - files_loading_failed) AS other_failures,
        sum(rows_read) AS rows_read,
        sum(rows_inserted + rows_updated + rows_unchanged + rows_duplicate) AS rows_kept
    FROM {{ ref("ingestion_health") }}
    GROUP BY dataset
),

logged AS (
    SELECT
        dataset,
        count(*) AS files
    FROM {{ source("ops", "file_ingestion_log") }}
    GROUP BY dataset
)

SELECT
    logged.dataset,
    logged.files AS files_logged,
    counted.files,
    counted.by_outcome,
    counted.other_failures,
    counted.rows_read,
    counted.rows_kept
FROM logged
LEFT JOIN counted ON logged.dataset = counted.dataset
WHERE
    counted.files IS DISTINCT FROM logged.files
    OR counted.files != counted.by_outcome
    OR counted.other_failures != 0
    OR counted.rows_kept > counted.rows_read

-- Delete results of expectations of files that were settled long ago. Results of whole tables have QUALITY_KEEP_DAYS.
WITH settled AS (
    SELECT file_id FROM ops.file_ingestion_log
    WHERE settled_at < now() - %(keep)s
),

purged AS (
    SELECT result.result_id
    FROM ops.quality_result AS result
    INNER JOIN settled ON result.file_id = settled.file_id
    ORDER BY result.result_id
    LIMIT %(most)s
)

DELETE FROM ops.quality_result
WHERE result_id IN (SELECT purged.result_id FROM purged);

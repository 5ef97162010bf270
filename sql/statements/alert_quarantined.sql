-- The files of a dataset that were quarantined since its last alert, or else since the run began, and are still in
-- quarantine: start and end of that time, number of files by reason code, and the newest files.
WITH last_alert AS (
    SELECT
        coalesce(
            (
                SELECT covered_until FROM ops.alert
                WHERE kind = 'quarantine' AND about = %(dataset)s AND cause = ''
            ),
            %(began)s::timestamptz
        ) AS sent_until
),

quarantined AS (
    SELECT
        file_id,
        object_key,
        error_code,
        settled_key,
        dag_id,
        run_id,
        settled_at
    FROM ops.file_ingestion_log
    WHERE
        dataset = %(dataset)s AND bucket = %(bucket)s AND settled_at > (SELECT last_alert.sent_until FROM last_alert)
        AND settled_key IS NOT NULL
        AND status IN ('validation_failed', 'processing_failed', 'loading_failed')
),

by_code AS (
    SELECT
        error_code,
        count(*) AS files
    FROM quarantined
    GROUP BY error_code
),

newest AS (
    SELECT * FROM quarantined
    ORDER BY settled_at DESC, file_id DESC
    LIMIT %(most)s
)

SELECT
    (SELECT sent_until FROM last_alert) AS since,
    (SELECT max(settled_at) FROM newest) AS until,
    (SELECT jsonb_object_agg(error_code, files) FROM by_code) AS by_code,
    (
        SELECT
            jsonb_agg(
                jsonb_build_array(object_key, error_code, settled_key, dag_id, run_id)
                ORDER BY settled_at DESC, file_id DESC
            )
        FROM newest
    ) AS files;

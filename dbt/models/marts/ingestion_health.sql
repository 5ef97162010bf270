{{ config(materialized="view") }}

WITH entries AS (
    SELECT
        *,
        (claimed_at AT TIME ZONE 'UTC')::date AS claimed_on,
        CASE
            WHEN status IN ('loaded', 'archived') THEN 'loaded'
            WHEN status LIKE '%failed' THEN 'failed'
            WHEN status = 'duplicate' THEN 'duplicate'
            ELSE 'in flight'
        END AS outcome,
        extract(EPOCH FROM loaded_at - claimed_at) AS load_seconds
    FROM {{ source("ops", "file_ingestion_log") }}
),

daily AS (
    SELECT
        dataset,
        claimed_on,
        count(*) AS files,
        count(*) FILTER (WHERE outcome = 'loaded') AS files_loaded,
        count(*) FILTER (WHERE outcome = 'duplicate') AS files_duplicate,
        count(*) FILTER (WHERE outcome = 'in flight') AS files_in_flight,
        count(*) FILTER (WHERE outcome = 'failed') AS files_failed,
        count(*) FILTER (WHERE status = 'validation_failed') AS files_validation_failed,
        count(*) FILTER (WHERE status = 'processing_failed') AS files_processing_failed,
        count(*) FILTER (WHERE status = 'loading_failed') AS files_loading_failed,
        coalesce(sum(rows_read), 0)::bigint AS rows_read,
        coalesce(sum(rows_inserted) FILTER (WHERE outcome = 'loaded'), 0)::bigint AS rows_inserted,
        coalesce(sum(rows_updated) FILTER (WHERE outcome = 'loaded'), 0)::bigint AS rows_updated,
        coalesce(sum(rows_unchanged) FILTER (WHERE outcome = 'loaded'), 0)::bigint AS rows_unchanged,
        coalesce(sum(rows_duplicate) FILTER (WHERE outcome = 'loaded'), 0)::bigint AS rows_duplicate,
        coalesce(sum(rows_rejected), 0)::bigint AS rows_rejected,
        coalesce(sum(rows_deleted) FILTER (WHERE outcome = 'loaded'), 0)::bigint AS rows_deleted,
        (sum(rows_rejected) / nullif(sum(rows_read), 0))::numeric(20, 6) AS reject_share,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY load_seconds) FILTER (WHERE outcome = 'loaded')
            AS median_load_seconds,
        max(loaded_at) AS last_loaded_at
    FROM entries
    GROUP BY dataset, claimed_on
)

SELECT
    *,
    max(last_loaded_at) OVER (PARTITION BY dataset) AS dataset_last_loaded_at,
    (
        extract(EPOCH FROM now() - max(last_loaded_at) OVER (PARTITION BY dataset)) / 3600
    )::numeric(20, 2) AS hours_since_load
FROM daily

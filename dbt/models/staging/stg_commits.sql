{{ config(
    materialized="incremental",
    incremental_strategy="merge",
    unique_key="sha",
    on_schema_change="fail",
    indexes=[{"columns": ["sha"], "unique": true}]
) }}

WITH source_rows AS (
    SELECT
        *,
        -- Without an author, the commit's time is that of the committer.
        coalesce(hour, extract(HOUR FROM committed_at AT TIME ZONE 'UTC')::bigint) AS hour_written,
        coalesce(weekday, extract(ISODOW FROM committed_at AT TIME ZONE 'UTC')::bigint) AS weekday_written
    FROM {{ source("raw", "commits") }}
    WHERE coalesce(authored_at, committed_at) IS NOT NULL
)

SELECT
    source_rows.sha,
    source_rows.repository,
    coalesce(source_rows.author_email, source_rows.author_name, 'unknown') AS author,
    source_rows.author_name,
    source_rows.author_email,
    source_rows.author_login,
    coalesce(source_rows.authored_at, source_rows.committed_at) AS authored_at,
    coalesce(source_rows.committed_at, source_rows.authored_at) AS committed_at,
    coalesce(source_rows.message, '') AS message,
    source_rows.message_length,
    source_rows.parent_count,
    coalesce(source_rows.comment_count, 0) AS comment_count,
    source_rows.is_verified,
    source_rows.is_merge,
    source_rows.hour_written AS hour,
    source_rows.weekday_written AS weekday,
    source_rows.weekday_written > 5 AS is_weekend,
    source_rows.weekday_written <= 5 AND source_rows.hour_written BETWEEN 9 AND 16 AS is_business_hours,
    source_rows.hour_written >= 22 OR source_rows.hour_written < 6 AS is_night,
    source_rows.url,
    source_rows.fetched_at,
    source_rows._file_id AS file_id,
    source_rows._loaded_at AS loaded_at
FROM source_rows
WHERE
    {{ changed_rows("sha") }}

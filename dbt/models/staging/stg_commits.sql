{{ config(
    materialized="incremental",
    incremental_strategy="merge",
    unique_key="sha",
    on_schema_change="fail",
    indexes=[{"columns": ["sha"], "unique": true}]
) }}

SELECT
    source_rows.sha,
    source_rows.repository,
    coalesce(source_rows.author_email, source_rows.author_name) AS author,
    source_rows.author_name,
    source_rows.author_email,
    source_rows.author_login,
    source_rows.authored_at,
    source_rows.committed_at,
    source_rows.message,
    source_rows.message_length,
    source_rows.parent_count,
    coalesce(source_rows.comment_count, 0) AS comment_count,
    source_rows.is_verified,
    source_rows.is_merge,
    source_rows.hour,
    source_rows.weekday,
    source_rows.weekday > 5 AS is_weekend,
    source_rows.weekday <= 5 AND source_rows.hour BETWEEN 9 AND 16 AS is_business_hours,
    source_rows.hour >= 22 OR source_rows.hour < 6 AS is_night,
    source_rows.url,
    source_rows.fetched_at,
    source_rows._file_id AS file_id,
    source_rows._loaded_at AS loaded_at
FROM {{ source("raw", "commits") }} AS source_rows
WHERE
    {{ changed_rows("sha") }}

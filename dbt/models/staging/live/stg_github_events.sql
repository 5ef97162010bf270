{{ config(
    materialized="incremental",
    incremental_strategy="merge",
    unique_key="event_id",
    on_schema_change="fail",
    indexes=[{"columns": ["event_id"], "unique": true}]
) }}

WITH source_rows AS (
    SELECT
        id AS event_id,
        type,
        created_at,
        lower(actor_login) AS actor_login,
        repository,
        action,
        ref,
        _file_id,
        _loaded_at
    FROM {{ source("raw", "github_events") }}
)

SELECT
    source_rows.event_id,
    regexp_replace(source_rows.type, 'Event$', '') AS event_type,
    source_rows.created_at,
    source_rows.actor_login,
    source_rows.actor_login LIKE '%[bot]' AS is_bot,
    source_rows.repository,
    source_rows.action,
    source_rows.ref,
    source_rows._file_id AS file_id,
    source_rows._loaded_at AS loaded_at
FROM source_rows
WHERE
    {{ changed_rows("event_id") }}

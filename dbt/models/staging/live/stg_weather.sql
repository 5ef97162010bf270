{{ config(
    materialized="incremental",
    incremental_strategy="merge",
    unique_key=["city", "observed_at"],
    on_schema_change="fail",
    indexes=[{"columns": ["city", "observed_at"], "unique": true}]
) }}

SELECT
    source_rows.city,
    source_rows.observed_at,
    source_rows.temperature_c,
    source_rows.humidity_pct,
    source_rows.precipitation_mm,
    source_rows.wind_kmh,
    source_rows.weather_code,
    CASE
        WHEN source_rows.weather_code BETWEEN 0 AND 1 THEN 'clear'
        WHEN source_rows.weather_code BETWEEN 2 AND 3 THEN 'cloudy'
        WHEN source_rows.weather_code BETWEEN 45 AND 48 THEN 'fog'
        WHEN source_rows.weather_code BETWEEN 51 AND 57 THEN 'drizzle'
        WHEN source_rows.weather_code BETWEEN 61 AND 67 OR source_rows.weather_code BETWEEN 80 AND 82 THEN 'rain'
        WHEN source_rows.weather_code BETWEEN 71 AND 77 OR source_rows.weather_code BETWEEN 85 AND 86 THEN 'snow'
        WHEN source_rows.weather_code BETWEEN 95 AND 99 THEN 'thunderstorm'
    END AS condition,
    source_rows._file_id AS file_id,
    source_rows._loaded_at AS loaded_at
FROM {{ source("raw", "weather") }} AS source_rows
WHERE
    {{ changed_rows(["city", "observed_at"]) }}

{{ config(
    materialized="incremental",
    incremental_strategy="delete+insert",
    unique_key=["city", "day"],
    on_schema_change="fail",
    indexes=[{"columns": ["city", "day"], "unique": true}]
) }}

{% set started_at = "'" ~ var("run_started_at", run_started_at | string) ~ "'::timestamptz" %}

WITH hourly AS (
    SELECT
        *,
        (observed_at AT TIME ZONE 'UTC')::date AS day
    FROM {{ ref("stg_weather") }}
    -- Later hours are forecasts.
    WHERE observed_at <= {{ started_at }}
),

versions AS (
    SELECT
        city,
        day,
        {{ rows_version(["city", "extract(EPOCH FROM observed_at)"]) }} AS rows_version
    FROM hourly
    GROUP BY city, day
),

changed AS (
    {{ changed_windows("versions", ["city", "day"], is_incremental()) }}
),

built AS (
    -- A day counts in the trend of the 6 days after it, and in the history of the 30 days after it.
    SELECT
        versions.city,
        versions.day,
        versions.rows_version
    FROM versions
    WHERE
        versions.day >= ({{ started_at }} AT TIME ZONE 'UTC')::date - 1
        OR EXISTS (
            SELECT 1
            FROM changed
            WHERE changed.city = versions.city AND versions.day BETWEEN changed.day AND changed.day + 30
        )
),

counted_conditions AS (
    SELECT
        city,
        day,
        condition,
        count(*) AS readings,
        array_position(ARRAY['clear', 'cloudy', 'fog', 'drizzle', 'rain', 'snow', 'thunderstorm'], condition)
            AS severity
    FROM hourly
    WHERE condition IS NOT NULL
    GROUP BY city, day, condition
),

conditions AS (
    SELECT DISTINCT ON (city, day)
        city,
        day,
        condition
    FROM counted_conditions
    ORDER BY city ASC, day ASC, readings DESC, severity DESC
),

daily AS (
    SELECT
        city,
        day,
        count(*) AS readings,
        count(DISTINCT extract(HOUR FROM observed_at AT TIME ZONE 'UTC')) FILTER (WHERE temperature_c IS NOT NULL)
            AS hours,
        min(temperature_c) AS temperature_min_c,
        -- Sums of doubles depend on the order of the rows: with it, an incremental build equals a full one exactly.
        avg(temperature_c ORDER BY observed_at) AS temperature_mean_c,
        max(temperature_c) AS temperature_max_c,
        avg(humidity_pct ORDER BY observed_at) AS humidity_mean_pct,
        sum(precipitation_mm ORDER BY observed_at) AS precipitation_mm,
        max(wind_kmh) AS wind_max_kmh
    FROM hourly
    GROUP BY city, day
),

compared AS (
    SELECT
        *,
        hours >= 18 AS is_full,
        regr_slope(temperature_mean_c, (day - date '2000-01-01')::double precision) OVER week
            AS temperature_trend_c_per_day,
        count(*) FILTER (WHERE hours >= 18) OVER history AS history_days,
        avg(temperature_mean_c) FILTER (WHERE hours >= 18) OVER history AS history_mean_c,
        stddev_samp(temperature_mean_c) FILTER (WHERE hours >= 18) OVER history AS history_sd_c
    FROM daily
    WINDOW
        week AS (PARTITION BY city ORDER BY day RANGE BETWEEN INTERVAL '6 days' PRECEDING AND CURRENT ROW),
        history AS (
            PARTITION BY city ORDER BY day RANGE BETWEEN INTERVAL '30 days' PRECEDING AND INTERVAL '1 day' PRECEDING
        )
),

anomalies AS (
    SELECT
        city,
        day,
        temperature_mean_c - history_mean_c AS temperature_anomaly_c,
        CASE WHEN history_sd_c >= 1e-9 THEN (temperature_mean_c - history_mean_c) / history_sd_c END
            AS temperature_anomaly_z
    FROM compared
    WHERE is_full AND history_days >= 7
)

SELECT
    compared.city,
    compared.day,
    compared.readings,
    compared.hours,
    compared.temperature_min_c,
    compared.temperature_mean_c,
    compared.temperature_max_c,
    compared.humidity_mean_pct,
    compared.precipitation_mm,
    compared.wind_max_kmh,
    conditions.condition,
    compared.temperature_trend_c_per_day,
    compared.history_days,
    anomalies.temperature_anomaly_c,
    anomalies.temperature_anomaly_z,
    abs(anomalies.temperature_anomaly_z) >= 3 AS is_anomaly,
    built.rows_version
FROM compared
INNER JOIN built ON compared.city = built.city AND compared.day = built.day
LEFT JOIN conditions ON compared.city = conditions.city AND compared.day = conditions.day
LEFT JOIN anomalies ON compared.city = anomalies.city AND compared.day = anomalies.day

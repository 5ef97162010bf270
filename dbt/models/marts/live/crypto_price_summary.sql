{{ config(
    materialized="incremental",
    incremental_strategy="delete+insert",
    unique_key=["coin_id", "window_size", "window_start"],
    on_schema_change="fail",
    indexes=[{"columns": ["coin_id", "window_size", "window_start"], "unique": true}]
) }}

WITH placed AS (
    SELECT
        prices.coin_id,
        prices.last_updated,
        prices.price_usd,
        prices.market_cap,
        prices.total_volume,
        prices.loaded_at,
        windows.window_size,
        date_trunc(windows.window_size, prices.last_updated, 'UTC') AS window_start,
        windows.length
    FROM {{ ref("stg_crypto_prices") }} AS prices
    -- In hours: a day of an interval has 23 to 25 hours where the session's time zone changes its clocks.
    CROSS JOIN (VALUES ('day', interval '24 hours'), ('week', interval '168 hours')) AS windows (window_size, length)
),

versions AS (
    SELECT
        coin_id,
        window_size,
        window_start,
        {{ rows_version(["coin_id", "extract(EPOCH FROM last_updated)"]) }} AS rows_version
    FROM placed
    GROUP BY coin_id, window_size, window_start
),

changed AS (
    {{ changed_windows("versions", ["coin_id", "window_size", "window_start"], is_incremental()) }}
),

price_rows AS (
    SELECT placed.*
    FROM placed
    INNER JOIN changed
        ON
            placed.coin_id = changed.coin_id
            AND placed.window_size = changed.window_size
            AND placed.window_start = changed.window_start
),

totals AS (
    SELECT
        coin_id,
        window_size,
        window_start,
        window_start + length AS window_end,
        count(price_usd) AS points,
        count(*) - count(price_usd) AS missing_points,
        -- Sums of doubles depend on the order of the rows: with it, an incremental build equals a full one exactly.
        avg(total_volume ORDER BY last_updated) AS mean_volume,
        (array_agg(market_cap ORDER BY last_updated DESC) FILTER (WHERE market_cap IS NOT NULL))[1] AS last_market_cap
    FROM price_rows
    GROUP BY coin_id, window_size, window_start, length
),

points AS (
    SELECT
        coin_id,
        window_size,
        window_start,
        last_updated,
        price_usd,
        lag(price_usd) OVER earlier AS price_before,
        max(price_usd) OVER earlier AS highest_so_far
    FROM price_rows
    WHERE price_usd IS NOT NULL
    WINDOW earlier AS (PARTITION BY coin_id, window_size, window_start ORDER BY last_updated)
),

measures AS (
    SELECT
        coin_id,
        window_size,
        window_start,
        (array_agg(price_usd ORDER BY last_updated))[1] AS first_price,
        (array_agg(price_usd ORDER BY last_updated DESC))[1] AS last_price,
        min(price_usd) AS min_price,
        max(price_usd) AS max_price,
        avg(price_usd ORDER BY last_updated) AS mean_price,
        stddev_samp(ln(nullif(price_usd, 0) / nullif(price_before, 0)) ORDER BY last_updated) AS volatility,
        regr_slope(
            price_usd, extract(EPOCH FROM last_updated - window_start)::double precision / 3600 ORDER BY last_updated
        ) AS trend_usd_per_hour,
        min(100 * (price_usd / nullif(highest_so_far, 0) - 1)) AS max_drawdown_pct
    FROM points
    GROUP BY coin_id, window_size, window_start
),

changes AS (
    SELECT
        *,
        100 * (last_price / nullif(first_price, 0) - 1) AS change_pct
    FROM measures
)

SELECT
    totals.coin_id,
    totals.window_size,
    totals.window_start,
    totals.window_end,
    totals.points,
    totals.missing_points,
    changes.first_price,
    changes.last_price,
    changes.min_price,
    changes.max_price,
    changes.mean_price,
    changes.change_pct,
    changes.volatility,
    changes.trend_usd_per_hour,
    CASE
        WHEN changes.change_pct > 1 THEN 'up'
        WHEN changes.change_pct < -1 THEN 'down'
        WHEN changes.change_pct IS NOT NULL THEN 'flat'
    END AS trend,
    changes.max_drawdown_pct,
    totals.mean_volume,
    totals.last_market_cap,
    versions.rows_version
FROM totals
INNER JOIN versions
    ON
        totals.coin_id = versions.coin_id
        AND totals.window_size = versions.window_size
        AND totals.window_start = versions.window_start
LEFT JOIN changes
    ON
        totals.coin_id = changes.coin_id
        AND totals.window_size = changes.window_size
        AND totals.window_start = changes.window_start

-- title: Prices of the newest day
-- description: Of the 100 coins with the largest market value. Volatility is the standard deviation of log returns.
-- chart: table
-- columns:
--   coin_id: {label: Coin}
--   priced_on: {label: Day (UTC), format: date}
--   last_price: {label: Last price (USD), format: amount}
--   change_pct: {label: Change in %, format: amount}
--   trend: {label: Trend}
--   volatility: {label: Volatility, format: share}
--   max_drawdown_pct: {label: Drawdown in %, format: amount}
--   last_market_cap: {label: Market value (USD), format: integer}
--   points: {label: Prices, format: integer}
-- filters: {start_date: date, end_date: date}
WITH newest AS (
    SELECT DISTINCT ON (coin_id)
        *,
        (window_start AT TIME ZONE 'UTC')::date AS priced_on
    FROM analytics.crypto_price_summary
    WHERE
        window_size = 'day'
        AND (window_start AT TIME ZONE 'UTC')::date >= %(start_date)s
        AND (window_start AT TIME ZONE 'UTC')::date <= %(end_date)s
    ORDER BY coin_id ASC, window_start DESC
)

SELECT
    coin_id,
    priced_on,
    last_price,
    change_pct,
    trend,
    volatility,
    max_drawdown_pct,
    last_market_cap,
    points
FROM newest
ORDER BY last_market_cap DESC NULLS LAST, coin_id ASC
LIMIT 100

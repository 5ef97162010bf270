-- title: Change of price in a day
-- description: In percent, of the five coins with the largest market value.
-- chart: line
-- x: priced_on
-- y: [change_pct]
-- series: coin_id
-- columns:
--   priced_on: {label: Day, format: date}
--   coin_id: {label: Coin}
--   change_pct: {label: Change in %, format: amount}
-- filters: {start_date: date, end_date: date}
WITH largest AS (
    SELECT coin_id
    FROM analytics.crypto_price_summary
    WHERE window_size = 'day' AND last_market_cap IS NOT NULL
    GROUP BY coin_id
    ORDER BY (array_agg(last_market_cap ORDER BY window_start DESC))[1] DESC, coin_id ASC
    LIMIT 5
)

SELECT
    (window_start AT TIME ZONE 'UTC')::date AS priced_on,
    coin_id,
    change_pct
FROM analytics.crypto_price_summary
WHERE
    window_size = 'day'
    AND change_pct IS NOT NULL
    AND coin_id IN (SELECT largest.coin_id FROM largest)
    AND (window_start AT TIME ZONE 'UTC')::date >= %(start_date)s
    AND (window_start AT TIME ZONE 'UTC')::date <= %(end_date)s
ORDER BY priced_on, coin_id

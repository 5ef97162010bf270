-- title: Revenue by day
-- chart: bar
-- x: sale_date
-- y: [revenue]
-- columns:
--   sale_date: {label: Day, format: date}
--   revenue: {label: Revenue, format: amount}
-- filters: {start_date: date, end_date: date}
SELECT
    sale_date,
    revenue
FROM analytics.daily_sales
WHERE
    TRUE
    AND sale_date >= %(start_date)s
    AND sale_date <= %(end_date)s
ORDER BY sale_date

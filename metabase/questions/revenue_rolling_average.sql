-- title: Revenue, average of seven days
-- description: Each day with the six before it; days without a sale count as 0.
-- chart: line
-- x: sale_date
-- y: [revenue_7_day_average]
-- columns:
--   sale_date: {label: Day, format: date}
--   revenue_7_day_average: {label: Average of seven days, format: amount}
-- filters: {start_date: date, end_date: date}
SELECT
    sale_date,
    revenue_7_day_average
FROM analytics.daily_sales
WHERE
    TRUE
    AND sale_date >= %(start_date)s
    AND sale_date <= %(end_date)s
ORDER BY sale_date

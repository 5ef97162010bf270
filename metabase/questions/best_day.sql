-- title: Revenue of the best day
-- chart: scalar
-- y: [revenue]
-- columns:
--   revenue: {label: Revenue of the best day, format: amount}
-- filters: {start_date: date, end_date: date}
SELECT max(revenue) AS revenue
FROM analytics.daily_sales
WHERE
    TRUE
    AND sale_date >= %(start_date)s
    AND sale_date <= %(end_date)s

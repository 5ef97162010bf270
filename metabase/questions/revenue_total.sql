-- title: Revenue
-- chart: scalar
-- y: [revenue]
-- columns:
--   revenue: {label: Revenue, format: amount}
-- filters: {start_date: date, end_date: date}
SELECT sum(revenue) AS revenue
FROM analytics.daily_sales
WHERE
    TRUE
    AND sale_date >= %(start_date)s
    AND sale_date <= %(end_date)s

-- title: Sales
-- chart: scalar
-- y: [sales]
-- columns:
--   sales: {label: Sales, format: integer}
-- filters: {start_date: date, end_date: date}
SELECT sum(sales)::bigint AS sales
FROM analytics.daily_sales
WHERE
    TRUE
    AND sale_date >= %(start_date)s
    AND sale_date <= %(end_date)s

-- title: Average sale
-- chart: scalar
-- y: [average_sale]
-- columns:
--   average_sale: {label: Average sale, format: amount}
-- filters: {start_date: date, end_date: date}
SELECT (sum(revenue) / nullif(sum(sales), 0))::numeric(20, 2) AS average_sale
FROM analytics.daily_sales
WHERE
    TRUE
    AND sale_date >= %(start_date)s
    AND sale_date <= %(end_date)s

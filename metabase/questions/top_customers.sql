-- title: Top 10 customers by revenue
-- description: Of the days chosen, or of all time.
-- chart: row
-- x: customer
-- y: [revenue]
-- columns:
--   customer: {label: Customer}
--   revenue: {label: Revenue, format: amount}
-- filters: {start_date: date, end_date: date}
WITH customers AS (
    SELECT
        customer_id,
        (array_agg(customer_name ORDER BY sale_date DESC) FILTER (WHERE customer_name IS NOT NULL))[1] AS customer_name,
        sum(revenue) AS revenue
    FROM analytics.daily_customer_sales
    WHERE
        TRUE
        AND sale_date >= %(start_date)s
        AND sale_date <= %(end_date)s
    GROUP BY customer_id
)

SELECT
    coalesce(customer_name || ' (' || customer_id || ')', customer_id) AS customer,
    revenue
FROM customers
ORDER BY revenue DESC, customer_id ASC
LIMIT 10

-- title: Top 10 customers by revenue
-- description: Of all time; the dates do not act here.
-- chart: row
-- x: customer
-- y: [revenue]
-- columns:
--   customer: {label: Customer}
--   revenue: {label: Revenue, format: amount}
SELECT
    coalesce(customer_name || ' (' || customer_id || ')', customer_id) AS customer,
    revenue
FROM analytics.top_customers
WHERE revenue_rank <= 10
ORDER BY revenue DESC, customer_id ASC
LIMIT 10

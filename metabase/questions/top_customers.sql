-- title: Top 10 customers by revenue
-- description: On the chosen days, or of all time.
-- chart: row
-- x: customer
-- y: [revenue]
-- columns:
--   customer: {label: Customer}
--   revenue: {label: Revenue, format: amount}
-- filters: {start_date: date, end_date: date}
WITH best AS (
    SELECT
        customer_id,
        sum(revenue) AS revenue
    FROM analytics.daily_customer_sales
    WHERE
        TRUE
        AND sale_date >= %(start_date)s
        AND sale_date <= %(end_date)s
    GROUP BY customer_id
    ORDER BY revenue DESC, customer_id ASC
    LIMIT 10
),

-- The latest name. For the ten customers only: sorting the names of all customers took most of the time.
names AS (
    SELECT DISTINCT ON (customer_id)
        customer_id,
        customer_name
    FROM analytics.daily_customer_sales
    WHERE customer_name IS NOT NULL AND customer_id IN (SELECT best.customer_id FROM best)
    ORDER BY customer_id ASC, named_at DESC
)

SELECT
    coalesce(names.customer_name || ' (' || best.customer_id || ')', best.customer_id) AS customer,
    best.revenue
FROM best
LEFT JOIN names ON best.customer_id = names.customer_id
ORDER BY best.revenue DESC, best.customer_id ASC

WITH customers AS (
    SELECT
        customer_id,
        (array_agg(customer_name ORDER BY updated_at DESC, sale_id ASC) FILTER (WHERE customer_name IS NOT NULL))[1]
            AS customer_name,
        count(*) AS sales,
        sum(quantity)::bigint AS pieces,
        sum(total_amount)::numeric(20, 2) AS revenue,
        min(sale_date) AS first_sale_date,
        max(sale_date) AS last_sale_date
    FROM {{ ref("stg_sales") }}
    GROUP BY customer_id
),

ranked AS (
    SELECT
        *,
        rank() OVER (ORDER BY revenue DESC) AS revenue_rank,
        (revenue / nullif(sum(revenue) OVER (), 0))::numeric(7, 6) AS revenue_share
    FROM customers
)

SELECT
    customer_id,
    customer_name,
    revenue_rank,
    revenue,
    revenue_share,
    sales,
    pieces,
    (revenue / sales)::numeric(20, 2) AS average_sale,
    first_sale_date,
    last_sale_date
FROM ranked
WHERE revenue_rank <= {{ var("top_customers") }}

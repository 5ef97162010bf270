WITH monthly AS (
    SELECT
        category,
        date_trunc('month', sale_date)::date AS sale_month,
        count(*) AS sales,
        count(DISTINCT customer_id) AS customers,
        sum(quantity)::bigint AS pieces,
        sum(total_amount)::numeric(20, 2) AS revenue
    FROM {{ ref("stg_sales") }}
    GROUP BY 1, 2
)

SELECT
    monthly.category,
    monthly.sale_month,
    monthly.sales,
    monthly.customers,
    monthly.pieces,
    monthly.revenue,
    (monthly.revenue / nullif(monthly.pieces, 0))::numeric(20, 2) AS average_price,
    (monthly.revenue / nullif(sum(monthly.revenue) OVER this_month, 0))::numeric(7, 6) AS revenue_share,
    rank() OVER (this_month ORDER BY monthly.revenue DESC) AS revenue_rank,
    before.revenue AS revenue_month_before,
    (monthly.revenue / nullif(before.revenue, 0) - 1)::numeric(20, 6) AS revenue_change
FROM monthly
LEFT JOIN monthly AS before
    ON
        monthly.category = before.category
        AND monthly.sale_month = before.sale_month + interval '1 month'
WINDOW this_month AS (PARTITION BY monthly.sale_month)

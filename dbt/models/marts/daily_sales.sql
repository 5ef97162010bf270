WITH sold AS (
    SELECT
        sale_date,
        count(*) AS sales,
        count(DISTINCT customer_id) AS customers,
        sum(quantity)::bigint AS pieces,
        sum(total_amount)::numeric(20, 2) AS revenue
    FROM {{ ref("stg_sales") }}
    GROUP BY sale_date
),

days AS (
    SELECT generate_series(min(sale_date), max(sale_date), interval '1 day')::date AS sale_date
    FROM sold
)

SELECT
    days.sale_date,
    coalesce(sold.sales, 0) AS sales,
    coalesce(sold.customers, 0) AS customers,
    coalesce(sold.pieces, 0) AS pieces,
    coalesce(sold.revenue, 0)::numeric(20, 2) AS revenue,
    (sold.revenue / sold.sales)::numeric(20, 2) AS average_sale,
    (avg(coalesce(sold.revenue, 0)) OVER week)::numeric(20, 2) AS revenue_7_day_average
FROM days
LEFT JOIN sold ON days.sale_date = sold.sale_date
WINDOW week AS (ORDER BY days.sale_date ROWS BETWEEN 6 PRECEDING AND CURRENT ROW)

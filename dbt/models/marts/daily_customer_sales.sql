SELECT
    customer_id,
    sale_date,
    (array_agg(customer_name ORDER BY updated_at DESC, sale_id ASC) FILTER (WHERE customer_name IS NOT NULL))[1]
        AS customer_name,
    max(updated_at) FILTER (WHERE customer_name IS NOT NULL) AS named_at,
    count(*) AS sales,
    sum(quantity)::bigint AS pieces,
    sum(total_amount)::numeric(20, 2) AS revenue
FROM {{ ref("stg_sales") }}
GROUP BY customer_id, sale_date

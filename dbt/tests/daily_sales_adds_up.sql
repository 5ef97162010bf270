-- The sum of the revenue of all days is the sum of all sales.
WITH totals AS (
    SELECT
        (SELECT coalesce(sum(total_amount), 0) FROM {{ ref("stg_sales") }}) AS of_sales,
        (SELECT coalesce(sum(revenue), 0) FROM {{ ref("daily_sales") }}) AS of_days
)

SELECT *
FROM totals
WHERE of_sales != of_days

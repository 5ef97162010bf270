-- The sum of the revenue of all categories and months is the sum of all sales.
WITH totals AS (
    SELECT
        (SELECT coalesce(sum(total_amount), 0) FROM {{ ref("stg_sales") }}) AS of_sales,
        (SELECT coalesce(sum(revenue), 0) FROM {{ ref("category_performance") }}) AS of_categories
)

SELECT *
FROM totals
WHERE of_sales != of_categories

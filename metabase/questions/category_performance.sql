-- title: Category performance
-- description: Whole months; the change compares the last month with the one before.
-- chart: table
-- columns:
--   category: {label: Category}
--   revenue: {label: Revenue, format: amount}
--   revenue_share: {label: Share, format: share}
--   sales: {label: Sales, format: integer}
--   pieces: {label: Pieces, format: integer}
--   average_price: {label: Average price, format: amount}
--   last_change: {label: Last month's change, format: share}
-- filters: {start_date: date, end_date: date}
SELECT
    category,
    sum(revenue) AS revenue,
    (sum(revenue) / nullif(sum(sum(revenue)) OVER (), 0))::numeric(7, 6) AS revenue_share,
    sum(sales)::bigint AS sales,
    sum(pieces)::bigint AS pieces,
    (sum(revenue) / nullif(sum(pieces), 0))::numeric(20, 2) AS average_price,
    (array_agg(revenue_change ORDER BY sale_month DESC))[1] AS last_change
FROM analytics.category_performance
WHERE
    TRUE
    AND sale_month >= date_trunc('month', %(start_date)s::date)
    AND sale_month <= %(end_date)s
GROUP BY category
ORDER BY revenue DESC, category ASC

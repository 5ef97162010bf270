-- title: Revenue by category and month
-- description: Whole months; a date selects the whole month.
-- chart: bar
-- x: sale_month
-- y: [revenue]
-- series: category
-- stacked: true
-- columns:
--   sale_month: {label: Month, format: date}
--   category: {label: Category}
--   revenue: {label: Revenue, format: amount}
-- filters: {start_date: date, end_date: date}
SELECT
    sale_month,
    category,
    revenue
FROM analytics.category_performance
WHERE
    TRUE
    AND sale_month >= date_trunc('month', %(start_date)s::date)
    AND sale_month <= %(end_date)s
ORDER BY sale_month, category

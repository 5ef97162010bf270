-- title: Transactions by hour of the day
-- description: Hours are UTC.
-- chart: bar
-- x: booked_hour_of_day
-- y: [transactions]
-- columns:
--   booked_hour_of_day: {label: Hour, format: integer}
--   transactions: {label: Transactions, format: integer}
-- filters: {start_date: date, end_date: date}
SELECT
    extract(HOUR FROM booked_hour AT TIME ZONE 'UTC')::integer AS booked_hour_of_day,
    sum(transactions)::bigint AS transactions
FROM analytics.transactions_by_category
WHERE
    TRUE
    AND (booked_hour AT TIME ZONE 'UTC')::date >= %(start_date)s
    AND (booked_hour AT TIME ZONE 'UTC')::date <= %(end_date)s
GROUP BY booked_hour_of_day
ORDER BY booked_hour_of_day

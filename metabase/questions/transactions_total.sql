-- title: Transactions
-- chart: scalar
-- y: [transactions]
-- columns:
--   transactions: {label: Transactions, format: integer}
-- filters: {start_date: date, end_date: date}
SELECT sum(transactions)::bigint AS transactions
FROM analytics.transactions_by_category
WHERE
    TRUE
    AND (booked_hour AT TIME ZONE 'UTC')::date >= %(start_date)s
    AND (booked_hour AT TIME ZONE 'UTC')::date <= %(end_date)s

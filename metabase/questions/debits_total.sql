-- title: Debits
-- chart: scalar
-- y: [debit_amount]
-- columns:
--   debit_amount: {label: Debits, format: amount}
-- filters: {start_date: date, end_date: date}
SELECT sum(debit_amount) AS debit_amount
FROM analytics.transactions_by_category
WHERE
    TRUE
    AND (booked_hour AT TIME ZONE 'UTC')::date >= %(start_date)s
    AND (booked_hour AT TIME ZONE 'UTC')::date <= %(end_date)s

-- title: Credits
-- chart: scalar
-- y: [credit_amount]
-- columns:
--   credit_amount: {label: Credits, format: amount}
-- filters: {start_date: date, end_date: date}
SELECT sum(credit_amount) AS credit_amount
FROM analytics.transactions_by_category
WHERE
    TRUE
    AND (booked_hour AT TIME ZONE 'UTC')::date >= %(start_date)s
    AND (booked_hour AT TIME ZONE 'UTC')::date <= %(end_date)s

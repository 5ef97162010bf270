-- title: Debits and credits by category
-- chart: bar
-- x: category
-- y: [debit_amount, credit_amount]
-- columns:
--   category: {label: Category}
--   debit_amount: {label: Debits, format: amount}
--   credit_amount: {label: Credits, format: amount}
-- filters: {start_date: date, end_date: date}
SELECT
    category,
    sum(debit_amount) AS debit_amount,
    sum(credit_amount) AS credit_amount
FROM analytics.transactions_by_category
WHERE
    TRUE
    AND (booked_hour AT TIME ZONE 'UTC')::date >= %(start_date)s
    AND (booked_hour AT TIME ZONE 'UTC')::date <= %(end_date)s
GROUP BY category
ORDER BY sum(debit_amount + credit_amount) DESC, category ASC

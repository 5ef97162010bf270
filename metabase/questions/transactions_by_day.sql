-- title: Transactions by day
-- chart: area
-- x: booked_on
-- y: [debits, credits]
-- stacked: true
-- columns:
--   booked_on: {label: Day, format: date}
--   debits: {label: Debits, format: integer}
--   credits: {label: Credits, format: integer}
-- filters: {start_date: date, end_date: date}
SELECT
    (booked_hour AT TIME ZONE 'UTC')::date AS booked_on,
    sum(debits)::bigint AS debits,
    sum(credits)::bigint AS credits
FROM analytics.transactions_by_category
WHERE
    TRUE
    AND (booked_hour AT TIME ZONE 'UTC')::date >= %(start_date)s
    AND (booked_hour AT TIME ZONE 'UTC')::date <= %(end_date)s
GROUP BY booked_on
ORDER BY booked_on

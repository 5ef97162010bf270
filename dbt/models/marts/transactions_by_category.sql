SELECT
    category,
    date_trunc('hour', booked_at, 'UTC') AS booked_hour,
    count(*) AS transactions,
    count(*) FILTER (WHERE side = 'debit') AS debits,
    count(*) FILTER (WHERE side = 'credit') AS credits,
    coalesce(sum(amount) FILTER (WHERE side = 'debit'), 0)::numeric(20, 2) AS debit_amount,
    coalesce(sum(amount) FILTER (WHERE side = 'credit'), 0)::numeric(20, 2) AS credit_amount
FROM {{ ref("stg_transactions") }}
GROUP BY 1, 2

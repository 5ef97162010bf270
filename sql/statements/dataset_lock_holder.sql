-- The session that holds a dataset's lock. A row lock stores a transaction's id in xmax, and each transaction holds a
-- lock on its own id.
WITH held AS (
    SELECT xmax AS transaction_number FROM ops.dataset_lock
    WHERE dataset = %(dataset)s
)

SELECT
    activity.pid,
    activity.application_name
FROM held
INNER JOIN pg_locks AS lock
    ON lock.locktype = 'transactionid' AND held.transaction_number = lock.transactionid AND lock.granted
INNER JOIN pg_stat_activity AS activity ON lock.pid = activity.pid;

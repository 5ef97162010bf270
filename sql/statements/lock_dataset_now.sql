-- Lock a dataset, or fail at once while a load holds it.
SELECT dataset FROM ops.dataset_lock
WHERE dataset = %(dataset)s
FOR UPDATE NOWAIT;

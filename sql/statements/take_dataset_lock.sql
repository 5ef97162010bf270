SELECT dataset FROM ops.dataset_lock
WHERE dataset = %(dataset)s
FOR UPDATE;

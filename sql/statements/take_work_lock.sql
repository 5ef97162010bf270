SELECT name FROM ops.work_lock
WHERE name = %(name)s
FOR UPDATE;

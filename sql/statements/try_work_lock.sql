-- No row if another process holds the lock.
SELECT name FROM ops.work_lock
WHERE name = %(name)s
FOR UPDATE SKIP LOCKED;

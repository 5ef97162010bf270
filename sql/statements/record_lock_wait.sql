SELECT ops.record_lock_wait(%(file_id)s, %(message)s);

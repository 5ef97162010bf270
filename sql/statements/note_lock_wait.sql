SELECT ops.note_lock_wait(%(file_id)s, %(message)s);

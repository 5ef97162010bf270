SELECT ops.forget_file_events(%(keep)s, %(most)s);

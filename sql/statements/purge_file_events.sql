SELECT ops.purge_file_events(%(keep)s, %(most)s);

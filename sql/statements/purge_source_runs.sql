SELECT ops.purge_source_runs(%(keep)s, %(most)s);

SELECT ops.purge_source_objects(%(keep)s, %(most)s);

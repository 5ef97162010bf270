SELECT ops.purge_alerts(%(keep)s);

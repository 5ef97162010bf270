SELECT ops.forget_alerts(%(keep)s);

-- Delete results of the comparison of distributions that are older than a number of days.
SELECT ops.purge_drift_results(%(keep_days)s);

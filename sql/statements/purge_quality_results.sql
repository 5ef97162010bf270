-- Delete results of warehouse checks that are older than a number of days; results of files are not deleted.
SELECT ops.purge_quality_results(%(keep_days)s);

-- Results of checks of the warehouse that are older than so many days are deleted; a file's own stay with the file.
SELECT ops.forget_quality_results(%(keep_days)s);

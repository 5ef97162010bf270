UPDATE ops.source_run SET records_skipped = %(skipped)s
WHERE source_run_id = %(source_run_id)s;

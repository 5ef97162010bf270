-- The number of earlier loads of this content. Only valid while the dataset's lock is held.
SELECT coalesce(max(resend_no) + 1, 0) AS resend_no FROM ops.file_ingestion_log
WHERE dataset = %(dataset)s AND sha256 = %(sha256)s AND status IN ('loaded', 'archived');

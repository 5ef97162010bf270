-- Whether a sweep has work to do although incoming/ is empty.
SELECT
    EXISTS (
        SELECT FROM ops.incoming_files
        WHERE bucket = %(bucket)s AND files > 0
    )
    OR EXISTS (
        SELECT FROM ops.file_ingestion_log
        WHERE bucket = %(bucket)s AND settled_at IS NULL
    )
    OR EXISTS (
        SELECT FROM ops.alert
        INNER JOIN ops.file_ingestion_log AS entry ON alert.about = entry.dataset
        WHERE
            alert.kind = 'quarantine' AND alert.cause = '' AND alert.held_back > 0
            AND entry.bucket = %(bucket)s  -- noqa: RF02
            AND entry.settled_at > alert.covered_until AND entry.settled_key IS NOT NULL
            AND entry.status IN ('validation_failed', 'processing_failed', 'loading_failed')
    );

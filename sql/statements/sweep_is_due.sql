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
        WHERE cause = '' AND held_back > 0
    );

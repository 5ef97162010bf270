-- Datasets with files in quarantine that no alert has listed, although one was due: it was held back, or failed.
SELECT about FROM ops.alert
WHERE
    kind = 'quarantine' AND cause = '' AND held_back > 0
    AND EXISTS (
        SELECT FROM ops.file_ingestion_log AS entry
        WHERE
            entry.dataset = alert.about AND entry.settled_at > alert.covered_until
            AND entry.bucket = %(bucket)s  -- noqa: RF02
            AND entry.settled_key IS NOT NULL
            AND entry.status IN ('validation_failed', 'processing_failed', 'loading_failed')
    )
ORDER BY about;

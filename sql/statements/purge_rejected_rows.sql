-- Delete rejected rows of files that were settled long ago, a number of files at a time. The reject file stays in the
-- bucket.
DELETE FROM ops.rejected_rows
WHERE file_id IN (
    SELECT entry.file_id FROM ops.file_ingestion_log AS entry
    WHERE
        entry.settled_at < now() - %(keep)s
        AND entry.file_id IN (SELECT rejected.file_id FROM ops.rejected_rows AS rejected)
    ORDER BY entry.file_id LIMIT %(most)s
);

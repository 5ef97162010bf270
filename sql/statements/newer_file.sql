-- The file of the dataset that was loaded last, if it was first written after this one. The caller holds the dataset's
-- lock.
SELECT
    newest.file_id,
    newest.object_key,
    coalesce(newest.first_modified_at, newest.modified_at) AS newest_at,
    coalesce(own.first_modified_at, own.modified_at) AS own_at
FROM ops.file_ingestion_log AS own
INNER JOIN ops.dataset_lock AS held ON own.dataset = held.dataset
INNER JOIN ops.file_ingestion_log AS newest ON held.last_file_id = newest.file_id
WHERE
    own.file_id = %(file_id)s AND newest.file_id <> own.file_id
    AND coalesce(newest.first_modified_at, newest.modified_at) > coalesce(own.first_modified_at, own.modified_at);

-- The file of the dataset that was loaded last, if it was first written after this one. Of files of one second,
-- that with the later key counts as later, as in the order of loading. The caller holds the dataset's lock.
WITH own AS (
    SELECT
        file_id,
        dataset,
        coalesce(first_modified_at, modified_at) AS written_at,
        object_key COLLATE "C" AS sorted_key
    FROM ops.file_ingestion_log
    WHERE file_id = %(file_id)s
)

SELECT
    newest.file_id,
    newest.object_key,
    own.written_at AS own_at,
    coalesce(newest.first_modified_at, newest.modified_at) AS newest_at
FROM own
INNER JOIN ops.dataset_lock AS held ON own.dataset = held.dataset
INNER JOIN ops.file_ingestion_log AS newest ON held.last_file_id = newest.file_id
WHERE
    newest.file_id <> own.file_id
    AND (coalesce(newest.first_modified_at, newest.modified_at), newest.object_key COLLATE "C")  -- noqa: RF02
    > (own.written_at, own.sorted_key);

-- Whether an entry is an archive whose members were entered.
SELECT count(*) > 0 AS has_members
FROM ops.file_ingestion_log
WHERE parent_file_id = %(file_id)s;

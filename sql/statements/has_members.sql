-- Whether an entry is an archive whose members were entered.
SELECT EXISTS (
    SELECT FROM ops.file_ingestion_log
    WHERE parent_file_id = %(file_id)s
);

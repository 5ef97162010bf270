-- How often workers have begun the members of an archive: so many attempts of the archive ended in a member, at most.
SELECT coalesce(sum(attempts), 0)::integer AS attempts
FROM ops.file_ingestion_log
WHERE parent_file_id = %(file_id)s;

-- The refused rows of a file that the ledger keeps.
SELECT
    source_row,
    source_line,
    column_name,
    code,
    message,
    raw_record
FROM ops.rejected_rows
WHERE file_id = %(file_id)s
ORDER BY source_row, column_name;

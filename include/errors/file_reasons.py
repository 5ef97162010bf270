"""The registry's codes of whole files: each ends a file in quarantine, unless its text says otherwise."""

from __future__ import annotations

from include.errors.codes import Code
from include.errors.reason import Kind, Reason, Variant

_WRITE_AGAIN = "Write it again."
_SAVE_AS = "Open it in Excel or LibreOffice, save it as an Excel workbook (.xlsx) or CSV UTF-8, and send that."
_UPLOAD_WHOLE = "Check how the file was written, and upload the whole of it."

FILES = {
    Code.EMPTY_FILE: Reason(
        Kind.FILE,
        "Empty file",
        "No bytes, or only blanks.",
        "Send it again with its header and rows.",
        "The file is empty.",
        {
            "archive": Variant("The archive has no file.", "Send it again with its files."),
            "passed over": Variant(
                "No member of the archive is read: {members:,} are passed over{pattern}.",
                "Correct the option member of the contract's dialect, or send the archive with its files.",
            ),
        },
    ),
    Code.NO_ROWS: Reason(
        Kind.FILE,
        "No rows",
        "A header without rows.",
        "Send it again once there are some.",
        "The file has no rows.",
    ),
    Code.MISSING_COLUMNS: Reason(
        Kind.FILE,
        "Required columns missing",
        "Required columns are not in the header, or in no JSON record. The message lists them.",
        "Add them, with a header line if there was none.",
        "Required columns are missing: {missing}. The file has: {given}.",
        {
            "record path": Variant(
                "{reason} A list of objects is at '{path}'.",
                "If these are the records, add recordPath: {path} to the dialect of the contract.",
            )
        },
    ),
    Code.MISSING_RECORD_PATH: Reason(
        Kind.FILE,
        "No records at the record path",
        "A JSON document lacks the `recordPath` of the contract, or has no list or object there. With `keyColumn`: no "
        "object of records is there.",
        "Correct `recordPath` or `keyColumn`, or send the file as agreed.",
        "The JSON document that begins in line {line} has nothing at '{path}', where the contract's recordPath expects "
        "the records.",
        {
            "no records": Variant(
                "The JSON document that begins in line {line} has {found} {location}, where the contract expects "
                "{wanted}."
            ),
        },
    ),
    Code.UNKNOWN_COLUMNS: Reason(
        Kind.FILE,
        "Unknown columns",
        "Columns outside the contract, with `unknownColumns: reject`.",
        "Remove them, add them to the contract, or choose another mode of `unknownColumns`.",
        "The contract does not know these columns: {unknown}.",
    ),
    Code.DUPLICATE_COLUMNS: Reason(
        Kind.FILE,
        "Duplicate column names",
        "Two names differ only in case, spaces, dashes or underscores, or not at all. In *load*: an added column came "
        "from another header. Of a row, which alone is refused: an object of the record has a key twice.",
        "Give each column a name of its own; in a record, write each key once.",
        variants={
            "alike": Variant(
                "Names of columns differ only in case, spaces, dashes or underscores: {names}. They would be one "
                "column.",
                "Send one of them, or give each a name of its own.",
            ),
            "equal": Variant(
                "Names of columns occur more than once in the file: {names}.", "Give each column a name of its own."
            ),
            "keys": Variant(
                "The keys {keys} differ in case, spaces or dashes only: both would be the column '{column}'.",
                "Write the key with the same spelling in all records.",
            ),
            "added": Variant(
                "The column {column} of raw.{dataset} belongs to the header '{source}'; the file has '{given}' for it.",
                "Rename the header, or name the column in the contract.",
            ),
            "key twice": Variant("The key '{key}' occurs twice in one object; only one of its values could be kept."),
            "keys of a record": Variant(
                "Two keys of the record differ in case, spaces or dashes only, and would be one column."
            ),
            "record path": Variant(
                "The key '{key}' of the record path occurs twice {where}; only one of its values could be read.",
                "Write the key once.",
            ),
            "record key": Variant("The key '{key}' has several records in one object; only one of them could be kept."),
            "key column": Variant(
                "The record's key is '{key}', and its member '{member}' has another value: both would be the column "
                "'{column}'."
            ),
        },
    ),
    Code.TOO_MANY_COLUMNS: Reason(
        Kind.FILE,
        "Too many columns",
        "Over `INGEST_MAX_COLUMNS`.",
        "Send the contract's columns only, or raise `INGEST_MAX_COLUMNS`.",
        "The file has {columns:,} columns; the limit is {limit}.",
    ),
    Code.UNKNOWN_FORMAT: Reason(
        Kind.FILE,
        "Unknown format",
        "A format that is not read, such as a picture or PDF, HTML or XML in a file named `.xls`.",
        "Send CSV, JSON, NDJSON, Parquet or another format of docs/values.md.",
        "The content is {format}.",
        {
            "compressed": Variant("The content is {format} inside {compression}.", "Send the {format} file as it is."),
            "feather 1": Variant(
                "The content is Feather 1, which is no longer written.", "Write it as Feather 2 or Parquet."
            ),
            "html": Variant(
                "The content is HTML: a web page, or a table that calls itself an Excel workbook.", _SAVE_AS
            ),
            "mhtml": Variant(
                "The content is a saved web page (MHTML), as some systems send it in the place of a workbook.", _SAVE_AS
            ),
            "xml workbook": Variant("The content is XML: a workbook in the format of Excel 2003.", _SAVE_AS),
            "xml": Variant("The content is XML.", "Send the rows in a format with one record per row, such as CSV."),
            "binary": Variant("The content is binary, of no format known here."),
            "archive": Variant(
                "The content is {format}, whose members are read one by one.", "Try a file that is packed in it."
            ),
        },
    ),
    Code.UNREADABLE_FILE: Reason(
        Kind.FILE,
        "Unreadable content",
        "Broken content: JSON document, Parquet, workbook, Avro, compression, header.",
        "Write the file again; the message has the position.",
        variants={
            "header": Variant("The header cannot be read: {reason}", "Correct the first line."),
            "nul in header": Variant(
                "The header cannot be read: names of columns hold a NUL character: {names}.",
                "Write the header again, without NUL characters.",
            ),
            "json": Variant("The JSON document is broken {where}: {reason}.", _UPLOAD_WHOLE),
            "json too deep": Variant(
                "The JSON document is nested deeper than {depth} levels outside its records {where}.", _UPLOAD_WHOLE
            ),
            "json after array": Variant(
                "The JSON document is broken: its array ends before the file does.", _UPLOAD_WHOLE
            ),
            "columnar": Variant("The {format} file cannot be read: {reason}", _WRITE_AGAIN),
            "columnar list": Variant(
                "The {format} file cannot be read: {reason}", "Write it with plain lists, not of a fixed size."
            ),
            "footer": Variant(
                "The {format} file's footer says {expected:,} rows, and {rows:,} are there.", _WRITE_AGAIN
            ),
            "workbook": Variant(
                "The workbook, or ZIP archive, cannot be read: {reason}.", "Open it in Excel, and save it again."
            ),
            "avro": Variant("The Avro file cannot be read: {reason}.", _WRITE_AGAIN),
            "compression": Variant("The {compression} data is damaged: {reason}.", "Compress and send the file again."),
            "archive": Variant("The {format} archive is damaged: {reason}.", "Write the archive again."),
            "member": Variant("The member cannot be read: {reason}.", "Write the archive again."),
            "local": Variant("The file cannot be read: {reason}."),
        },
    ),
    Code.TRUNCATED_FILE: Reason(
        Kind.FILE,
        "File cut off",
        "Parquet, JSON document or compression cut off.",
        "Upload the whole file again.",
        variants={
            "columnar": Variant("The {format} file has no end: it was cut off."),
            "compression": Variant("The {compression} data is cut off: its end is missing."),
            "archive": Variant("The {format} archive is cut off: its end is missing."),
            "json": Variant("The JSON document is cut off {where}.", _UPLOAD_WHOLE),
        },
    ),
    Code.TOO_LARGE: Reason(
        Kind.FILE,
        "File too large",
        "Over `INGEST_MAX_FILE_BYTES`, or over `INGEST_MAX_EXPANDED_BYTES` or `INGEST_MAX_EXPANSION_RATIO` when "
        "expanded.",
        "Split it, or raise the limit.",
        variants={
            "stored": Variant(
                "The file has {size:,} bytes; the limit is {limit:,}.", "Split it, or raise INGEST_MAX_FILE_BYTES."
            ),
            "expanded": Variant(
                "The file expands to more than {limit:,} bytes.",
                "Split it, or raise INGEST_MAX_EXPANDED_BYTES, or INGEST_MAX_EXPANSION_RATIO if it is no decompression "
                "bomb.",
            ),
            "sheet": Variant(
                "The sheet has cells up to row {rows:,} and column {columns:,}, which is too large to be read.",
                "Remove what is far from the table, or send the rows as CSV or Parquet.",
            ),
            "xls": Variant(
                "The .xls file has {size:,} bytes; the limit for this format is {limit:,}.", "Save it as .xlsx."
            ),
            "batch": Variant(
                "A {part} of the {format} file takes {size:,} bytes in memory; the limit is {limit:,}.",
                "Write the file with smaller parts, such as 65,536 rows each.",
            ),
        },
    ),
    Code.ERROR_BUDGET_EXCEEDED: Reason(
        Kind.FILE,
        "Too many refused rows",
        "More rows refused than the contract allows. The reject file has them.",
        "Correct the refused rows, each listed with its reason, and send them again.",
        "{rejected:,} of {read:,} rows are refused; the contract allows {budget}.{example}",
    ),
    Code.EXPECTATION_FAILED: Reason(
        Kind.FILE,
        "Critical expectation failed",
        "A critical expectation failed on the staging table.",
        "Check the file as a whole: it may be incomplete, hold its rows twice, or come from another source.",
        "A critical expectation of {dataset} failed: {expectations}.",
    ),
    Code.TOO_FEW_ROWS: Reason(
        Kind.FILE,
        "Too few rows",
        "Fewer rows than the contract's `minShareOfUsual` of the dataset's last files.",
        "Check that the export is complete. If it is, lower `minShareOfUsual` and reprocess the file.",
        "The file has {read:,} rows. The median of the last {files} loaded files is {usual:,}, and the contract asks "
        "for at least {share:.4g} % of it.",
    ),
    Code.TOO_MANY_DELETES: Reason(
        Kind.FILE,
        "Too many deletes",
        "With `mode: snapshot`: the table has more rows that the file lacks than `maxDeleteShare` allows.",
        "Check that the export is complete. If it is, raise `maxDeleteShare` and reprocess the file.",
        "The file lacks {deletes:,} of the {live:,} rows in raw.{dataset}, and the contract allows to delete at most "
        "{share:.4g} % of them. Nothing was changed.",
    ),
    Code.OLDER_SNAPSHOT: Reason(
        Kind.FILE,
        "Older snapshot",
        "With `mode: snapshot`: a file that was written later is loaded already. This one would delete newer rows.",
        "Nothing, if the newer file is right. To make this one the truth, drop it again under another name.",
        "The file was written at {own:%Y-%m-%d %H:%M:%S} UTC, before file {newer} ({key}) of {newest:%Y-%m-%d "
        "%H:%M:%S} UTC, which is loaded. It would delete newer rows; nothing was changed.",
    ),
    Code.DUPLICATE_CONTENT: Reason(
        Kind.FILE,
        "Loaded before",
        "The same bytes were loaded before (without `newestBy`: and nothing since). Status `duplicate`.",
        "Nothing to do: no row was touched.",
        "The same content was loaded before, as file {file_id}.",
        {"taken back": Variant("File {file_id}, whose rejected rows these were, was loaded again and counts them.")},
    ),
    Code.TABLE_DIFFERS: Reason(
        Kind.FILE,
        "Table differs from the contract",
        "In *load*: the table has other types, another key or stricter rules than the contract.",
        "`filegate contract diff NAME` lists each difference. Change the contract back, or run the statement of the "
        "message as the owner and reprocess: [tables](tables.md#the-table-and-the-contract).",
        variants={
            "differences": Variant(
                "The table raw.{dataset} differs from its contract: {differences}. Nothing was loaded.",
                "Look at filegate contract diff {dataset}. Change the contract back, or change the table as its owner "
                "and then reprocess the file: {statements}.",
            ),
            "refused": Variant(
                "The table raw.{dataset} must be changed for its contract, and PostgreSQL refuses: {detail}.",
                "As the owner, drop the objects that depend on the column, then reprocess the file. The next run of "
                "dbt creates its views again.",
            ),
        },
    ),
    Code.UNKNOWN_DATASET: Reason(
        Kind.FILE,
        "No contract for the file",
        "No contract's folder or pattern matches.",
        "Drop it into `incoming/<dataset>/`, or add a contract and reprocess.",
        "No contract knows this file. Drop it into incoming/<dataset>/ (datasets: {datasets}), or add a contract and "
        "reprocess it.",
        {
            "deleted": Variant(
                "The contract of the dataset {dataset} was deleted or renamed while this file waited. Add a contract "
                "for it again, or give the file pattern to another one, then trigger reprocess_failed."
            )
        },
    ),
    Code.REPLAY_IMPOSSIBLE: Reason(
        Kind.FILE,
        "Rejected rows cannot be replayed",
        "Of `filegate reprocess --rejects`: what it needs of the file is not there any more, or its rows are still "
        "refused. The rows stay counted as rejected in their file.",
        "Load the whole file again: `filegate reload DATASET --file ID`.",
        variants={
            "unknown": Variant("The ledger has no file {file_id} in the bucket {bucket}.", "See filegate files."),
            "not loaded": Variant(
                "File {file_id} is {status}; only rejected rows of a loaded file are replayed.",
                "A refused file is reprocessed as a whole: filegate reprocess --file {file_id}.",
            ),
            "no rejects": Variant(
                "File {file_id} has no rejected rows, or a replay has taken them over.", "See filegate show {file_id}."
            ),
            "in flight": Variant(
                "File {file_id}, or a replay of its rows, is being loaded.", "Try again when it has an outcome."
            ),
            "changed": Variant(
                "File {file_id} has no rejected rows any more, is loaded again, or its rows were replayed meanwhile.",
                "See filegate show {file_id}.",
            ),
            "archive": Variant(
                "The archived file {key} is gone or holds other content.", "Ask its sender for it, and drop it again."
            ),
            "list": Variant(
                "The reject file {key} does not list the {rows:,} rejected rows of file {file_id}.",
                "Load the whole file again: filegate reload {dataset} --file {content_id}.",
            ),
            "numbers": Variant(
                "The rows of file {file_id} have other numbers now: the contract reads the file in another way than "
                "when they were rejected.",
                "Load the whole file again: filegate reload {dataset} --file {file_id}.",
            ),
            "still refused": Variant(
                "Each of the {rows:,} replayed rows is still refused.{example}",
                "Change the rule that refuses them, then reprocess this file.",
            ),
        },
    ),
    Code.OBJECT_REPLACED: Reason(
        Kind.FILE,
        "File changed",
        "The file changed after it was claimed. Not final: it is read again.",
        "Nothing.",
        "The file changed since it was claimed, or is still being written; it is read once it stops changing.",
    ),
    Code.OBJECT_UNREADABLE: Reason(
        Kind.FILE,
        "Object not served",
        "The store lists the object and does not serve it (rights, encryption key, cold storage), or gives no ETag for "
        "five minutes. It stays in `incoming/`.",
        "Restore it from cold storage or grant the pipeline's key the right to read it, then trigger reprocess_failed; "
        "or upload it again.",
        "The store lists the object and refuses to serve it ({answer}). It belongs to {dataset} and stays where it is.",
        {
            "claimed": Variant("The store lists the object and refuses to serve it ({answer}). It stays where it is."),
            "no ETag": Variant(
                "The store has listed {key} without an ETag for {minutes:.0f} minutes: an upload that never ended, or "
                "an object that it cannot read. Upload it again, or delete it."
            ),
        },
    ),
    # An event of ops.file_event.
    Code.REPLACED_BEFORE_CLAIM: Reason(
        Kind.FILE,
        "Version never read",
        "An event of `ops.file_event`, not a refusal (*settle*): a version was replaced before it was read.",
        "Send the content again under its own name if needed.",
        "{key}: the version {version} of {modified_at:%Y-%m-%d %H:%M:%S} UTC ({size:,} bytes, ETag {etag}) was "
        "replaced before it was claimed. It was never read, and is deleted now. Send its content again under "
        "another name if it is needed.",
    ),
    Code.OBJECT_VANISHED: Reason(
        Kind.FILE,
        "File gone",
        "Removed before it could be read.",
        "Drop it again.",
        "The file was removed before it could be read.",
        {
            "archive": Variant(
                "The archive was removed or replaced while its members were loaded; this one was not read.",
                "Drop the archive again.",
            )
        },
    ),
}

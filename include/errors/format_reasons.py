"""The registry's codes of encodings, workbooks, partition folders and archives: of cells, and of whole files."""

from __future__ import annotations

from include.errors.codes import Code
from include.errors.reason import Kind, Reason, Variant

# `name` is the column's header in the file, `value` what the cell shows.
FORMAT_ROWS = {
    Code.ERROR_CELL: Reason(
        Kind.ROW,
        "Error in a workbook's cell",
        "A cell of a column of the contract holds an error such as #DIV/0!, #N/A or #REF!, in text columns too.",
        "Correct the formula, or clear the cell.",
        "{name} holds the error {value}.",
    ),
    Code.UNCALCULATED_FORMULA: Reason(
        Kind.ROW,
        "Formula without a value",
        "The program that wrote the workbook stored no result of a formula, or 0 and the request to calculate it. In "
        "`.xls`, a result that is an empty text looks the same.",
        "Open the workbook in Excel or LibreOffice, save it as `.xlsx`, and send that.",
        "{name} holds a formula that was never calculated.",
    ),
    Code.INEXACT_NUMBER: Reason(
        Kind.ROW,
        "Number that a workbook cannot hold",
        "A number beyond 9,007,199,254,740,991 (2^53 - 1): workbooks keep numbers as doubles, so its last digits may "
        "be lost already. In `double precision` columns it is loaded.",
        "Keep long identifiers as text in the workbook.",
        "{name} is {value}: workbooks do not keep a number of that size exactly.",
    ),
}

FORMAT_FILES = {
    Code.UNDECLARED_ENCODING: Reason(
        Kind.FILE,
        "Undeclared encoding",
        "Not UTF-8, no byte order mark, and no `encoding` in the contract. The message has the first such byte, its "
        "line, likely encodings and the line to add to the contract.",
        "Write the file as UTF-8, or declare its encoding in the contract.",
        "Byte 0x{byte:02x} in line {line:,} (byte {position:,} of the text) is not UTF-8, nor is any other byte "
        "outside ASCII.{likely} Declare its encoding under customProperties of the contract: {declaration}",
        {
            "no mark": Variant(
                "Byte {position} of the text, in line 1, is 0x{byte:02x}: it looks like {encoding} without a byte "
                "order mark. Write the file with the mark, or declare its encoding under customProperties of the "
                "contract: {declaration}"
            )
        },
    ),
    Code.ENCODING_DIFFERS: Reason(
        Kind.FILE,
        "UTF-8 under another encoding",
        "The contract declares an encoding with one byte for a character, and the whole text is UTF-8: every byte "
        "outside ASCII belongs to a UTF-8 character, and there is at least one. As declared, `Müller` would load as "
        "`MÃ¼ller`. A text in the declared encoding is UTF-8 by chance only if it has very few such bytes, as in "
        "`CAFÉ®`. Encodings with several bytes for a character are not compared.",
        "Declare `utf-8` in the contract, or send the file as UTF-8 with a byte order mark, which counts more.",
        "Byte 0x{byte:02x} in line {line:,} (byte {position:,} of the text) begins a character of UTF-8, as all bytes "
        "outside ASCII begin or continue one: '{word}'. The contract declares {encoding}: '{declared}'. Declare "
        "UTF-8 under customProperties of the contract: {declaration}",
    ),
    Code.UNSUPPORTED_WORKBOOK: Reason(
        Kind.FILE,
        "Workbook that is not read",
        "Encrypted, or no workbook at all, such as a Word document.",
        "Save it as an Excel workbook (.xlsx) without a password.",
        variants={
            "encrypted": Variant("The workbook is encrypted."),
            "no workbook": Variant(
                "The content is {kind}, not a workbook.", "Send the workbook, or the rows in another format."
            ),
        },
    ),
    Code.UNCLEAR_SHEET: Reason(
        Kind.FILE,
        "Unclear which sheet",
        "The workbook has several visible sheets and the contract names none, or the sheet that it names is missing, "
        "or all are hidden.",
        "Name the sheet in the contract: `dialect: {sheet: ...}`.",
        variants={
            "several": Variant(
                "The workbook has several visible sheets: {sheets}.",
                "Name one in the contract as the option sheet of dialect, or send a workbook with one sheet.",
            ),
            "missing": Variant(
                "The workbook has no sheet '{sheet}'. Its sheets: {sheets}.",
                "Correct the option sheet of the contract's dialect, or the sheet's name.",
            ),
            "hidden": Variant(
                "The workbook has no visible sheet with cells. Its sheets: {sheets}.",
                "Name one in the contract as the option sheet of dialect, or unhide it.",
            ),
        },
    ),
    Code.BAD_PARTITION: Reason(
        Kind.FILE,
        "Partition folder",
        "A column is taken from a folder of the key, as `dt=2026-11-28`, and the folder is missing, is there twice, or "
        "its value does not fit the column.",
        "Correct the folder, and drop the file again.",
        variants={
            "missing": Variant("The key {key} has no folder {name}=..., which gives the column {column}."),
            "twice": Variant("The key {key} has the folder {name}=... more than once."),
            "value": Variant("The folder {name}={value} does not fit the column {column}: {reason}"),
        },
    ),
    Code.NESTED_ARCHIVE: Reason(
        Kind.FILE,
        "Archive in an archive",
        "A member of a ZIP or TAR archive is such an archive itself.",
        "Send it as a file of its own, or its files in one archive.",
        "The member is {format} itself; archives inside of archives are not read.",
    ),
    Code.ENCRYPTED_ARCHIVE: Reason(
        Kind.FILE,
        "Encrypted member",
        "A member of a ZIP archive needs a password.",
        "Send the archive without a password.",
        "The member is encrypted.",
    ),
    Code.ARCHIVE_BOMB: Reason(
        Kind.FILE,
        "Archive that expands too far",
        "An archive, or one member, is over `INGEST_MAX_EXPANDED_BYTES` or `INGEST_MAX_EXPANSION_RATIO` when expanded; "
        "a member is over `INGEST_MAX_FILE_BYTES`; or the archive has more than 10,000 entries, or too large headers.",
        "Split the archive, or raise the limit.",
        variants={
            "archive": Variant(
                "The members of the archive expand to more than {limit:,} bytes.",
                "Split it, or raise INGEST_MAX_EXPANDED_BYTES, or INGEST_MAX_EXPANSION_RATIO if it is no bomb.",
            ),
            "member": Variant(
                "The member expands to {size:,} bytes; the limit is {limit:,}.",
                "Split it, or raise INGEST_MAX_FILE_BYTES, or INGEST_MAX_EXPANSION_RATIO if it is no bomb.",
            ),
            "members": Variant(
                "The archive has more than {limit:,} entries, or a directory of more than {most:,} bytes.",
                "Split it into several archives.",
            ),
            "headers": Variant(
                "The headers of an entry have more than {limit:,} bytes or {blocks} parts, or those of all entries "
                "more than {most:,} bytes.",
                "Write the archive again, without extended attributes and sparse files.",
            ),
        },
    ),
    Code.UNSAFE_MEMBER_NAME: Reason(
        Kind.FILE,
        "Unsafe member name",
        "A member's name is absolute, has a part `..`, a drive letter, control characters, or more than 1,024 bytes. "
        "Members are never written by their names; such an archive is made by mistake or to attack.",
        "Write the archive again, with plain relative names.",
        "The name of the member {reason}: {name}.",
    ),
    Code.ARCHIVE_LINK: Reason(
        Kind.FILE,
        "Link in an archive",
        "A member is a symbolic or hard link, a device or a pipe: it has no content of its own. No link is followed.",
        "Pack the file itself: `tar --dereference --hard-dereference`.",
        "The member is {kind}, not a file.",
    ),
    Code.DUPLICATE_MEMBER: Reason(
        Kind.FILE,
        "Second member of one name",
        "An archive has two members of one name. The first one is read.",
        "Give each member a name of its own.",
        "The archive has an earlier member of this name.",
    ),
}

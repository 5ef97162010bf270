"""The registry's codes of cells, rows and messages: each refuses one row, or makes one message a dead letter."""

from __future__ import annotations

from include.errors.codes import Code
from include.errors.reason import Kind, Reason, Variant

# `column` is a column of the contract, `value` the quoted text of the cell, `expected` what the column adds to the
# message: its bounds, date formats or allowed values.
CELLS = {
    Code.MISSING_VALUE: Reason(
        Kind.CELL,
        "Missing value",
        "A required column is empty (an empty text counts as empty).",
        "Fill it in, or make the column not required.",
        "{column.name} is required and empty.",
    ),
    Code.BAD_INTEGER: Reason(
        Kind.CELL,
        "Not a whole number",
        "The text is not a whole number.",
        "Digits with an optional sign; after a point only zeros. No exponent. Thousands separators only as the "
        "`dialect` of the contract says.",
        "{value} is not a whole number{expected}.",
    ),
    Code.BAD_NUMBER: Reason(
        Kind.CELL,
        "Not a number",
        "The text is not a number; NaN and infinity neither.",
        "Digits with a decimal point; `1e3` is read, `$5` is not. `1,5`, `1.234,50` and `5-` are read if the `dialect` "
        "of the contract says so.",
        "{value} is not a number{expected}.",
    ),
    Code.BAD_BOOLEAN: Reason(
        Kind.CELL,
        "Not true or false",
        "Not true, t, yes, y, 1, false, f, no, n or 0, nor a word of the contract's `dialect`.",
        "Send one of these.",
        "{value} is neither true nor false (true, t, yes, y, 1; false, f, no, n, 0{expected}).",
    ),
    Code.BAD_DATE: Reason(
        Kind.CELL,
        "Not a date",
        "Not a calendar date in `YYYY-MM-DD` or a format of the contract (`%Y` has four digits; only midnight may "
        "follow).",
        "Send ISO 8601, or add `formats`.",
        "{value} is not a date; write YYYY-MM-DD{expected}.",
        {
            "number in a workbook": Variant(
                "{name} holds the number {value} without the format of a date, or a number that is no date: give the "
                "cells the format of a date."
            )
        },
    ),
    Code.BAD_TIMESTAMP: Reason(
        Kind.CELL,
        "Not a time",
        "Not a time in `YYYY-MM-DDTHH:MM:SS` or a format of the contract.",
        "Send ISO 8601, or add `formats`. `timestamp` takes no offset, `timestamptz` does.",
        "{value} is not a time; write YYYY-MM-DDTHH:MM:SS{expected}.",
        {
            "number in a workbook": Variant(
                "{name} holds the number {value} without the format of a date, or a number that is no date: give the "
                "cells the format of a date."
            )
        },
    ),
    Code.BAD_UUID: Reason(
        Kind.CELL,
        "Not a UUID",
        "The text is not a UUID.",
        "Send 32 hexadecimal digits, as 8-4-4-4-12.",
        "{value} is not a UUID.",
    ),
    Code.BAD_JSON: Reason(
        Kind.CELL,
        "Not valid JSON",
        "Not JSON that `jsonb` keeps: broken, NaN, trailing comma, escaped NUL, a key twice, a number beyond `numeric` "
        "(131,072 digits before the point, 16,383 after), over 200 levels. Without a column: in rescued values, or a "
        "record nested too deep.",
        "Send valid JSON.",
        "{value} is not JSON that jsonb keeps: it is broken, has NaN, a key twice, a NUL character, a number beyond "
        "PostgreSQL's, or over 200 levels.",
        {
            "rescued": Variant(
                "What the contract does not name cannot be kept as JSON: a NUL character, a number beyond "
                "PostgreSQL's, depth."
            ),
            "record": Variant("The record is nested too deep to be kept as JSON."),
        },
    ),
    Code.BAD_TEXT: Reason(
        Kind.CELL,
        "NUL character in a text",
        "The text holds a NUL character.",
        "Remove it.",
        "{value} holds a NUL character, which no text column can keep.",
        {
            "added": Variant(
                "A column that the contract does not name holds a NUL character, which no text column can keep."
            )
        },
    ),
    Code.OUT_OF_RANGE: Reason(
        Kind.CELL,
        "Out of range",
        "Beyond the contract's bounds or the column's type; for doubles also too small.",
        "Correct the value, or the bounds.",
        "{value} is out of range{expected}.",
        {"parquet": Variant("{name} holds a value that its type does not have, such as a time of day after 24 hours.")},
    ),
    Code.IMPLAUSIBLE_DATE: Reason(
        Kind.CELL,
        "Implausible date",
        "A date or time before 1900, in a column without a `minimum`. Software writes such dates where it has none.",
        "Correct the value, or send nothing. If the column has such dates, give it a `minimum`, as `1800-01-01`.",
        "{value} is before 1900; if this column has such dates, give it a minimum in the contract.",
    ),
    Code.TOO_MANY_DECIMALS: Reason(
        Kind.CELL,
        "Too many decimals",
        "More decimals than the column's scale.",
        "Round before sending, or widen the scale.",
        "{value} has more than {column.scale} decimals; it is not rounded silently.",
    ),
    Code.TOO_SHORT: Reason(
        Kind.CELL,
        "Text too short",
        "Fewer characters than `minLength`.",
        "Correct the value, or the contract.",
        "{value} has fewer than {column.min_length} characters.",
    ),
    Code.TOO_LONG: Reason(
        Kind.CELL,
        "Text too long",
        "More characters than `maxLength`.",
        "Correct the value, or the contract.",
        "{value} has more than {column.max_length} characters.",
    ),
    Code.NOT_IN_LIST: Reason(
        Kind.CELL,
        "Not an allowed value",
        "The value is not in the contract's list.",
        "Correct the value, or the list.",
        "{value} is not one of: {expected}.",
    ),
    Code.PATTERN_MISMATCH: Reason(
        Kind.CELL,
        "Pattern not matched",
        "The whole text does not match the pattern.",
        "Correct the value, or the pattern.",
        "{value} does not match the pattern {column.pattern}.",
    ),
}

ROWS = {
    Code.RULE_BROKEN: Reason(
        Kind.ROW,
        "Row rule broken",
        "A row rule does not hold or cannot be calculated. The message has the values.",
        "Correct the values, or the rule.",
        "Not so: {description} ({rule}): {values}.",
    ),
    Code.DERIVATION_FAILED: Reason(
        Kind.ROW,
        "Derived column failed",
        "A derived column cannot be calculated, or its value does not fit the type without loss.",
        "Correct the values, or round or cast in the expression.",
        "{column.name} cannot be calculated as {column.derived}{values}.",
        {
            "empty": Variant("{column.name} is required, and {column.derived} comes out empty."),
            "unfit": Variant(
                "{column.name} is {value}, which {column.postgres_type} with the contract's limits cannot hold "
                "unchanged; nothing is rounded or cut."
            ),
        },
    ),
    Code.TOO_MANY_FIELDS: Reason(
        Kind.ROW,
        "Too many fields",
        "More fields than the header.",
        "Quote fields that hold the delimiter.",
        "The record has {fields}; the header has {width}.",
    ),
    Code.TOO_FEW_FIELDS: Reason(
        Kind.ROW,
        "Too few fields",
        "Fewer fields than the header.",
        "Write empty fields too.",
        "The record has {fields}; the header has {width}.",
    ),
    Code.BROKEN_QUOTE: Reason(
        Kind.ROW,
        "Broken quote",
        "A quote is not closed, or stands inside a quoted field. Reading continues with the next line.",
        "Double quotes inside quotes.",
        "A quote is opened and not closed.",
        {
            "escape": Variant("The escape character {sign} ends the file, with nothing after it."),
            "unescaped": Variant(
                'A quote is inside a field and not escaped; quote the field and write "" for the quote.'
            ),
        },
    ),
    Code.REPEATED_HEADER: Reason(
        Kind.ROW,
        "Header repeated",
        "A record repeats the header: several files were joined. Or the file has a header, and `dialect` says that it "
        "has none.",
        "Join files without their headers, or correct `header`.",
        "The record is the header again: the file was put together from several.",
    ),
    Code.BAD_ROW_JSON: Reason(
        Kind.ROW,
        "Line is not JSON",
        "A line of NDJSON is not JSON (NaN, trailing comma, half a surrogate pair included).",
        "Look for a cut line, a missing quote or bracket.",
        "The line is not JSON: {reason}; {advice}.",
        {
            "blank": Variant("The line holds no record."),
            "more": Variant("The line is not JSON: a value ends at character {end}, and more follows it."),
            "half pair": Variant(r"The record holds half of a surrogate pair, as in \ud800, which is no character."),
        },
    ),
    Code.NOT_AN_OBJECT: Reason(
        Kind.ROW,
        "Not a JSON object",
        "A record is JSON but not an object.",
        "Send one object per row.",
        "The record is not a JSON object with the contract's columns as keys.",
    ),
    Code.ROW_TOO_LONG: Reason(
        Kind.ROW,
        "Record too long",
        "Over `INGEST_MAX_ROW_BYTES`. In a JSON document over several lines it refuses the file.",
        "Look for a missing line end, or raise the limit.",
        "The record is longer than a record may be: over {limit:,} bytes (INGEST_MAX_ROW_BYTES).",
        {
            "document": Variant(
                "Record {number} of the JSON document (line {line}) is longer than a record may be: over {limit:,} "
                "bytes (INGEST_MAX_ROW_BYTES).",
                "If it has the records inside, name their place as recordPath in the dialect of the contract. Else "
                "check how the file was written, and upload the whole of it.",
            ),
            "outside": Variant(
                "A value in line {line} of the JSON document, outside its records, is longer than a record may be: "
                "over {limit:,} bytes (INGEST_MAX_ROW_BYTES).",
                "Check how the file was written, and upload the whole of it.",
            ),
        },
    ),
    Code.CONFLICTING_DUPLICATE: Reason(
        Kind.ROW,
        "Conflicting duplicate",
        "Other rows of the file have the same key and different values, and `newestBy` does not decide. The message "
        "names the line of one. All are refused.",
        "Send one row per key, name `newestBy`, or set `onDuplicate: lastWins`.",
        "The key {key} is also in {where}, with other values and {newest}.",
    ),
    Code.ROW_TOO_WIDE: Reason(
        Kind.ROW,
        "Row too wide",
        "Over the 8,160 bytes of a PostgreSQL page.",
        "Send fewer columns, or split the dataset.",
        "The row takes {size:,} bytes in PostgreSQL, where {limit:,} fit; a long text counts as {pointer}. Send fewer "
        "columns, or split the dataset.",
    ),
    Code.KEY_TOO_LONG: Reason(
        Kind.ROW,
        "Key too long",
        "The key is over the 2,704 bytes of an index entry.",
        "Shorten it, or choose another key.",
        "The key ({key}) takes {size:,} bytes in PostgreSQL's index, where {limit:,} fit. Send a shorter key, or "
        "choose another in the contract.",
    ),
    Code.BAD_ENCODING: Reason(
        Kind.ROW,
        "Not UTF-8",
        "Bytes that are not UTF-8 in a UTF-8 file, or that the contract's encoding lacks; half a surrogate pair in "
        "UTF-16.",
        "Write the file in one encoding, and declare that one.",
        "Byte 0x{byte:02x} at character {position} is not UTF-8.",
        {
            "declared": Variant(
                "Byte 0x{byte:02x} at character {position} is no character of the encoding that the contract declares."
            ),
            "half pair": Variant("Half of a surrogate pair at character {position} is no character."),
            "parquet": Variant("{name} holds bytes that are not UTF-8; write text as UTF-8."),
            "message": Variant("Byte 0x{byte:02x} at position {position} of {size} is not UTF-8."),
            "file": Variant(
                "The text begins as {encoding} and then is not: {reason}.", "Write the file again, as UTF-8 if you can."
            ),
        },
    ),
}

MESSAGES = {
    Code.EMPTY_MESSAGE: Reason(
        Kind.MESSAGE,
        "Empty message",
        "The value is empty or blank. (A message without a value is a delete: `deletes_ignored`.)",
        "Send a value.",
        "The message is empty.",
    ),
    Code.BAD_AVRO: Reason(
        Kind.MESSAGE,
        "Not Avro of its schema",
        "The bytes do not fit the schema that the message names.",
        "Serialise with the registered schema.",
        "{schema}: {reason}.",
        {
            "record": Variant("The record cannot be read: {reason}."),
            "no registry": Variant("The message has a schema id, as Avro has, and SCHEMA_REGISTRY_URL is not set."),
            "other type": Variant("{schema} is of type {kind}, not Avro."),
            "references": Variant("{schema} refers to other schemas of the registry, which is not read here."),
            "short": Variant("The message ends after {size} bytes, inside the schema id."),
            "header": Variant(
                "The header {header} holds {size} bytes that are no schema id: the byte 0 and four bytes are expected, "
                "or the byte 1 and sixteen."
            ),
        },
    ),
    Code.UNKNOWN_SCHEMA: Reason(
        Kind.MESSAGE,
        "Unknown schema",
        "The registry does not know the schema id.",
        "Register it, then `filegate replay-dlq`.",
        "The registry has no schema with {id}.",
    ),
    # For a range of messages, which an entry of the ledger names. sql/statements/record_removed_messages.sql has the
    # message.
    Code.MESSAGES_REMOVED: Reason(
        Kind.MESSAGE,
        "Messages removed unread",
        "Retention or a deletion removed offsets that the group had not read. For a range of messages: the ledger "
        "entry has topic, partition, first and last offset, and an alert is sent. The count is an upper bound.",
        "Ask the producer to send them again; raise `retention.ms` or `retention.bytes`.",
    ),
}

"""Opens Avro, ORC and Arrow files for the oracle, each in the plainest way.

What belongs here: the formats that the case generator writes. What does not: damage, which `readers` refuses.
"""

from __future__ import annotations

import io
import lzma
from typing import Any

import fastavro
import pyarrow as pa
from pyarrow import orc

ARROW_FILE, ARROW_STREAM, AVRO, ORC = b"ARROW1\0\0", b"\xff\xff\xff\xff", b"Obj\x01", b"ORC"


def columns(content: bytes) -> pa.Table | None:
    """The table of an ORC or Arrow file; None if it is neither.

    Raises:
        pa.ArrowException, OSError: it cannot be read, or it is of Arrow and has dictionaries inside of nested columns.
    """
    if content.startswith(ORC) and b"\0" in content:
        return orc.ORCFile(io.BytesIO(content)).read()
    if not content.startswith((ARROW_FILE, ARROW_STREAM)):
        return None
    opened = pa.ipc.open_file if content.startswith(ARROW_FILE) else pa.ipc.open_stream
    table = opened(content).read_all()
    if any(_has_inner_dictionary(kind) for kind in table.schema.types):
        raise pa.ArrowInvalid
    return table


def _has_inner_dictionary(kind: pa.DataType) -> bool:
    inner = [kind.field(at).type for at in range(kind.num_fields)]
    return any(pa.types.is_dictionary(one) or _has_inner_dictionary(one) for one in inner)


def is_cut(content: bytes) -> bool:
    """Whether an ORC or Arrow file lacks its end."""
    if content.startswith(ARROW_FILE):
        return not content.endswith(b"ARROW1")
    return content.startswith(ORC) and content[-4:-1] != ORC


def avro_records(content: bytes) -> list[dict[str, Any]]:
    """The records of an Avro file.

    Raises:
        EOFError: it is cut off.
    """
    stream = io.BytesIO(content)
    try:
        reader: Any = fastavro.reader(stream)
    except ValueError as error:
        if isinstance(error.__context__, EOFError):  # inside the header
            raise error.__context__ from None
        raise
    try:
        return list(reader)
    except (ValueError, IndexError, lzma.LZMAError) as error:
        if not content.endswith(reader._header["sync"]):  # each block ends with it
            raise EOFError from error
        raise

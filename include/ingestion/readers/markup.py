"""Refuses HTML and XML, which many systems send under names that end in .xls, and says how to save such a file.

What belongs here: telling kinds of markup apart by the beginning of a text. What does not: reading any of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from include.errors import Code
from include.ingestion.readers.text_format import names_a_column
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from include.contracts.model import Contract

# A spreadsheet of Excel 2003 names this namespace in its root element.
_SPREADSHEET = "urn:schemas-microsoft-com:office:spreadsheet"
_LOOKED_AT = 4096
_IGNORED = re.compile(r"(\s|<!--.*?-->)+", re.DOTALL)
_HTML = re.compile(r"<(!doctype\s+html|html|head|body|meta|table|style|script)[\s>/]", re.IGNORECASE)
_XML = re.compile(r"<(\?xml\s|!doctype\s|workbook[\s>])", re.IGNORECASE)
_MHTML = re.compile(r"mime-version\s*:", re.IGNORECASE)


def refuse_markup(text: str, contract: Contract) -> None:
    """Raise if a text is HTML, XML or a saved web page (MHTML), and its first line names no column of the contract."""
    text = text[:_LOOKED_AT]
    begin = ignored.end() if (ignored := _IGNORED.match(text)) else 0
    is_xml = _XML.match(text, begin) is not None
    if _HTML.match(text, begin) or (is_xml and "<html" in text.lower()):
        refusal = FileRefusedError.for_code(Code.UNKNOWN_FORMAT, "html")
    elif _MHTML.match(text, begin):
        refusal = FileRefusedError.for_code(Code.UNKNOWN_FORMAT, "mhtml")
    elif is_xml:
        refusal = FileRefusedError.for_code(Code.UNKNOWN_FORMAT, "xml workbook" if _SPREADSHEET in text else "xml")
    else:
        return
    if not names_a_column(text, contract):
        raise refusal

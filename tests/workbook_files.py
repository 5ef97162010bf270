"""Writes small workbooks from XML, so that a test decides about every cell: .xlsx and .ods are ZIP files of XML."""

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from xml.sax.saxutils import escape, quoteattr

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_ODS = "application/vnd.oasis.opendocument.spreadsheet"
_MANIFEST = (
    '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.2">'
    f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{_ODS}"/></manifest:manifest>'
)
# Style 1 is a date, 2 a date with time, 3 a time, 4 a duration, 5 a percentage.
STYLES = (
    f'<styleSheet xmlns="{_MAIN}"><numFmts count="1"><numFmt numFmtId="164" formatCode="[h]:mm:ss"/></numFmts>'
    '<fonts count="1"><font/></fonts><fills count="1"><fill/></fills><borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="6"><xf numFmtId="0"/><xf numFmtId="14"/>'
    '<xf numFmtId="22"/><xf numFmtId="21"/><xf numFmtId="164"/><xf numFmtId="10"/></cellXfs></styleSheet>'
)
_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - workbooks have no zones


def column_letters(at: int) -> str:
    """The letters of a column that is counted from 0."""
    letters = ""
    at += 1
    while at:
        at, letter = divmod(at - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


def cell(value: object, reference: str) -> str:
    """A cell of .xlsx. A text that begins with `<c` is XML already; `{r}` in it is the reference."""
    if value is None:
        return ""
    at = f'r="{reference}"'
    match value:
        case str() if value.startswith("<c"):
            return value.replace("{r}", at)
        case str():
            return f'<c {at} t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
        case bool():
            return f'<c {at} t="b"><v>{int(value)}</v></c>'
        case datetime():
            return f'<c {at} s="2"><v>{(value - _EPOCH) / timedelta(days=1)!r}</v></c>'
        case date():
            return f'<c {at} s="1"><v>{(datetime.combine(value, time()) - _EPOCH).days}</v></c>'
        case timedelta():
            return f'<c {at} s="4"><v>{value / timedelta(days=1)!r}</v></c>'
        case _:
            return f"<c {at}><v>{value!r}</v></c>"


def sheet_xml(rows: Iterable[Sequence[object]], *, first_row: int = 1, before: str = "", after: str = "") -> str:
    """A sheet of .xlsx."""
    lines = []
    for number, row in enumerate(rows, first_row):
        cells = "".join(cell(value, f"{column_letters(at)}{number}") for at, value in enumerate(row))
        lines.append(f'<row r="{number}">{cells}</row>' if cells else "")
    return f'<worksheet xmlns="{_MAIN}">{before}<sheetData>{"".join(lines)}</sheetData>{after}</worksheet>'


def xlsx(
    sheets: Mapping[str, str], *, hidden: Sequence[str] = (), workbook: str = "", parts: Mapping[str, str | bytes] = {}
) -> bytes:
    """A workbook of sheets by their names. `workbook` is XML for the workbook, `parts` are further files."""
    states = dict.fromkeys(hidden, 'state="hidden"')
    named = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{at}" r:id="rId{at}" {states.get(name, "")}/>'
        for at, name in enumerate(sheets, 1)
    )
    relations = "".join(
        f'<Relationship Id="rId{at}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{at}.xml"/>'
        for at in range(1, len(sheets) + 1)
    )
    styles = f'<Relationship Id="styles" Type="{_OFFICE}/styles" Target="styles.xml"/>'
    strings = f'<Relationship Id="strings" Type="{_OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
    files: dict[str, str | bytes] = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r" Type="{_OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">{workbook}<sheets>{named}</sheets>'
        "</workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_RELATIONS}">{relations}{styles}{strings}'
        "</Relationships>",
        "xl/styles.xml": STYLES,
        **{f"xl/worksheets/sheet{at}.xml": xml for at, xml in enumerate(sheets.values(), 1)},
    }
    return zipped(files | dict(parts))


def table(rows: Iterable[Sequence[object]], **options: object) -> bytes:
    """A workbook of one sheet."""
    return xlsx({"Sheet1": sheet_xml(rows, **options)})  # type: ignore[arg-type]


def ods(sheets: Mapping[str, Iterable[Sequence[object]]], *, hidden: Sequence[str] = ()) -> bytes:
    """A workbook of LibreOffice. A text that begins with `<table:` is XML already."""
    styles = dict.fromkeys(hidden, 'table:style-name="ta2"')
    tables = "".join(
        f"<table:table table:name={quoteattr(name)} {styles.get(name, '')}>"
        + "".join(f"<table:table-row>{''.join(map(ods_cell, row))}</table:table-row>" for row in rows)
        + "</table:table>"
        for name, rows in sheets.items()
    )
    names = ("office", "table", "text", "style")
    spaces = " ".join(f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in names)
    content = (
        f'<office:document-content {spaces} xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:'
        'calcext:1.0"><office:automatic-styles><style:style style:name="ta2" style:family="table">'
        '<style:table-properties table:display="false"/></style:style></office:automatic-styles>'
        f"<office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body></office:document-content>"
    )
    return zipped({"mimetype": _ODS, "META-INF/manifest.xml": _MANIFEST, "content.xml": content})


def ods_cell(value: object) -> str:
    """A cell of .ods."""
    kind, text = "", ""
    match value:
        case None:
            return "<table:table-cell/>"
        case str() if value.startswith("<table:"):
            return value
        case str():
            kind, text = 'office:value-type="string"', value
        case bool():
            kind = f'office:value-type="boolean" office:boolean-value="{str(value).lower()}"'
        case datetime() | date():
            kind = f'office:value-type="date" office:date-value="{value.isoformat()}"'
        case _:
            kind = f'office:value-type="float" office:value="{value!r}"'
    return f"<table:table-cell {kind}><text:p>{escape(text or str(value))}</text:p></table:table-cell>"


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """The files as a ZIP archive."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(
                zipfile.ZipInfo(name), content, zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            )
    return target.getvalue()

"""The fast path of JSON has the verdicts of the slow path, and reads what is usual."""

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import settings as budget
from hypothesis import strategies as st
from test_fast_and_slow_path import CELL, EVERY, GRAMMAR, ID, JSON, TEXT, VALUES, json_line

from include.contracts.dialect import Dialect
from include.contracts.model import Column, ColumnType, Contract, UnknownColumns
from include.errors import Code
from include.ingestion.engine import engine
from include.ingestion.readers import vectorised_json
from include.ingestion.readers.row_by_row import read_json_rows
from include.ingestion.readers.vectorised import HEADER
from include.ingestion.readers.vectorised_json import typed_json
from include.ingestion.records import FallBackToSlowPath, FileFormat, FileRefusedError, SpooledFile
from include.ingestion.rules import cleaned
from include.settings import IngestSettings

pytestmark = pytest.mark.unit

LIMITS = IngestSettings(max_row_bytes=100_000)
NDJSON, DOCUMENT = FileFormat.NDJSON, FileFormat.JSON
DATA = Dialect(record_path="data")
Outcome = tuple[list[dict], list[tuple[int, Code]]]


class Paths:
    """Both readers of JSON on one connection, with the rows as process would clean them."""

    def __init__(self, folder: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self._path, self.connection = folder / "text", connection

    def fast(self, contract: Contract, content: bytes, kind: FileFormat = NDJSON) -> list[dict] | None:
        """The rows; None if the fast path falls back to the slow path."""
        try:
            tables = list(typed_json(self._text(content), kind, contract, self.connection, LIMITS))
        except FallBackToSlowPath:
            return None
        return self._cleaned(contract, tables)

    def slow(self, contract: Contract, content: bytes, kind: FileFormat = NDJSON) -> Outcome | Code:
        """The good rows, and number and code of the other rows; or the code of the file."""
        try:
            chunks = list(read_json_rows(self._text(content), kind, contract, self.connection, LIMITS))
        except FileRefusedError as refusal:
            return refusal.code
        rows = self._cleaned(contract, [chunk.good for chunk in chunks])
        return rows, [(reject.source_row, reject.code) for chunk in chunks for reject in chunk.rejects]

    def agree(self, contract: Contract, content: bytes, kind: FileFormat = NDJSON) -> list[dict] | None:
        """The rows of the fast path, if it gives any: they must be those of the slow path."""
        fast = self.fast(contract, content, kind)
        if fast is not None:
            assert self.slow(contract, content, kind) == (fast, [])
        return fast

    def write(self, content: bytes) -> Path:
        self._path.write_bytes(content)
        return self._path

    def _text(self, content: bytes) -> SpooledFile:
        return SpooledFile(self.write(content), "", len(content), has_hex=b"0x" in content or b"0X" in content)

    def _cleaned(self, contract: Contract, tables: list[pa.Table]) -> list[dict]:
        if not tables:
            return []
        table = pa.concat_tables(tables)
        added = {one.name: one.metadata[HEADER.encode()] for one in table.schema if one.metadata}
        self.connection.register("rows_read", table)
        query = f"SELECT * FROM {cleaned('rows_read', contract.source_columns)} ORDER BY _source_row"
        rows = self.connection.execute(query).to_arrow_table().to_pylist()
        self.connection.unregister("rows_read")
        return [row | {"added": added} for row in rows]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paths]:
    folder = tmp_path_factory.mktemp("paths")
    with engine(folder, LIMITS) as connection:
        yield Paths(folder, connection)


def cell_forms(cell: str) -> list[str]:
    """A cell as a JSON text, with and without escapes, and as it is."""
    return [json.dumps(cell), json.dumps(cell, ensure_ascii=False), cell]


@pytest.mark.parametrize("name", GRAMMAR)
def test_paths_read_cells_as_the_grammar_says(paths: Paths, contract_of, name: str) -> None:
    column, cells = GRAMMAR[name]
    for cell, expected in cells.items():
        for form in cell_forms(cell):
            if column.type is not ColumnType.JSON and not form.startswith(("{", "[")):
                rows = paths.agree(contract_of(ID, column), f'{{"id": 1, "x": {form}}}\n'.encode())
                assert rows is None or not isinstance(expected, Code)
            else:
                paths.agree(contract_of(ID, column), f'{{"id": 1, "x": {form}}}\n'.encode())


@pytest.mark.parametrize("name", GRAMMAR)
@given(cells=st.lists(CELL, min_size=1, max_size=3), form=st.integers(0, 2))
@EVERY
def test_paths_agree_on_any_cell(paths: Paths, contract_of, name: str, cells: list[str], form: int) -> None:
    lines = [f'{{"id": {at}, "x": {cell_forms(cell)[form]}}}' for at, cell in enumerate(cells)]
    paths.agree(contract_of(ID, GRAMMAR[name][0]), "\n".join(lines).encode())
    paths.agree(contract_of(ID, GRAMMAR[name][0]), f"[{', '.join(lines)}]".encode(), DOCUMENT)


A = Column("a", ColumnType.TEXT)
B = Column("b", ColumnType.NUMBER, precision=20, scale=4)
DEEP = Column("deep", ColumnType.INTEGER, path="m.v")
THINGS = (ID, A, B, JSON)


@pytest.mark.parametrize(
    ("columns", "content"),
    [
        pytest.param(THINGS, '{"id":1,"a":"x","b":1.10}\n{"id":2,"a":"y","b":-0.5}\n', id="compact"),
        pytest.param(THINGS, '{"id": 1, "a": "x"}\n{"id": 2, "a": "y"}', id="no-last-line-end"),
        pytest.param(THINGS, ' { "id" : 1 , "a" :\t"x" } \r\n\r\n \n{"id":2}\r\n', id="blanks-and-crlf"),
        pytest.param(THINGS, '{"id":1,"a":null,"b":null}\n{"id":2}\n', id="nulls-and-absent-keys"),
        pytest.param(THINGS, '{"id":1}\n{"id":2,"b":1,"a":"x"}\n{"id":3,"a":"x","b":1}\n', id="other-order"),
        pytest.param(THINGS, '{"id":1,"a":1.10}\n{"id":2,"a":1e5}\n{"id":3,"a":123456789012345678901234567890}\n'
                     '{"id":4,"a":true}\n{"id":5,"a":-0}\n', id="characters-of-numbers"),
        pytest.param(THINGS, '{"id":1,"a":"say \\"hi\\", \\\\ \\/ \\n\\r\\t \\u00e9 \\ud83d\\ude00 \\u0022\\u005c"}\n',
                     id="escapes"),
        pytest.param(THINGS, '{"id":1,"a":"x, \\"b\\": 5}"}\n', id="json-in-a-text"),
        pytest.param(THINGS, '{"id":1,"a":"größe 中🙂 \u2028"}\n', id="any-script"),
        pytest.param(THINGS, '{"id":1,"a":""}\n{"id":2,"a":"null"}\n', id="empty-text-and-the-word-null"),
        pytest.param(THINGS, '{"\\u0069d":1,"a":"x"}\n{"id":2,"\\u0061":"y"}\n', id="key-with-escapes"),
        pytest.param(THINGS, '{"ID":1,"A":"x"}\n', id="keys-in-another-case"),
        pytest.param(THINGS, '{"id":1}{"id":2}\n{"id":3}\n', id="two-on-a-line"),
        pytest.param(THINGS, '{"id":1,"x":{"k":[1.10, "a b", {"z":null}]},"a":"\\n"}\n{"id":2,"x":"t"}\n'
                     '{"id":3,"x":[]}\n{"id":4,"x":""}\n{"id":5,"x":" "}\n{"id":6,"x":{"a":"\\u00e9 \\\\"}}\n',
                     id="documents"),
        pytest.param(THINGS, '{"id":1,"new":1.50,"other key":null}\n{"id":2,"new":"a \\"b\\" \\u00e9"}\n{"id":3}\n',
                     id="rescued"),
        pytest.param((ID, DEEP), '{"id":1,"m":{"v":5}}\n{"id":2,"m":null}\n{"id":3,"m":{}}\n{"id":4}\n', id="path"),
        pytest.param((ID, Column("größe", ColumnType.TEXT)), '{"id":1,"gr\\u00f6\\u00dfe":"L"}\n{"id":2,"größe":"M"}\n',
                     id="key-of-another-script"),
        pytest.param((ID,), '{"id":1}\n{"id":2}\n', id="one-column"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["lines", "array", "record path"])
def test_fast_path_reads_usual_records(paths: Paths, contract_of, mode: str, columns: tuple, content: str) -> None:
    """Without this test, a fast path that always falls back would agree with the slow one."""
    contract = contract_of(*columns, dialect=DATA if mode == "record path" else Dialect())
    if mode == "lines":
        assert paths.agree(contract, content.encode()) is not None
        return
    records = content.replace("}{", "}\n{").split("\n")
    inner = ", ".join(filter(str.strip, (record.strip() for record in records)))
    text = f"[{inner}]" if mode == "array" else f'{{"n": {{"data": [{{}}]}}, "data": [{inner}], "next": [1, "]"]}}\n'
    assert paths.agree(contract, text.encode(), DOCUMENT) is not None


@pytest.mark.parametrize(
    "content",
    [
        '[{"id": 1}]', '[\n  {"id": 1},\n  {"id": 2}\n]\n', '[{\n  "id": 1\n}, {\n  "id": 2\n}]', ' [ {"id": 1} ] ',
        '[{"id": 1},{"id": 2}, {"id": 3},\n{"id": 4}]',
    ],
)  # fmt: skip
def test_fast_path_reads_arrays_of_any_layout(paths: Paths, contract_of, content: str) -> None:
    assert paths.agree(contract_of(ID), content.encode(), DOCUMENT) is not None


@pytest.mark.parametrize("mode", UnknownColumns)
def test_fast_path_treats_unknown_members_by_the_contract(paths: Paths, contract_of, mode: UnknownColumns) -> None:
    contract = contract_of(ID, unknown_columns=mode)
    content = b'{"id":1,"b c":1.50,"a":""}\n{"id":2,"a":"x"}\n'
    rows = paths.agree(contract, content)
    assert (rows is None) is (mode is UnknownColumns.REJECT)
    if mode is UnknownColumns.EVOLVE:
        assert rows[0]["added"] == {"a": b"a", "b_c": b"b c"}
        assert [(row["a"], row["b_c"]) for row in rows] == [(None, "1.50"), ("x", None)]
    if mode is UnknownColumns.RESCUE:
        assert [row["_rescued"] for row in rows] == ['{"b c":1.50,"a":""}', '{"a":"x"}']


@pytest.mark.parametrize(
    "content",
    [
        '{"id":1,"id":2}', '{"id":1,"\\u0069d":2}', '{"id":1,"ID":2}',
        '{"id":01}', '{"id":+1}', '{"id":NaN}', '{"id":1,}',
        '{"id":Infinity}', '{,"id":1}', '{"id":1 "a":"x"}',
        '{"id":1,,"a":"x"}', '{"id":1,"a":"x\ty"}', '{"id":1,"a":tru}',
        '{"id":1,"a":"\\ud800"}', '{"id":1,"a":"\\udc00\\ud800"}', '{"id":1,"a":"\\u0000"}', '{"id":1,"a":"\\x"}',
        '{"id":1,"a":.5}', '{"id":1,"a":1.}', '{"id":1,"a":1e}', '{"id":1,"a":-}', '{"id":1,"a":{"a":"x"}}',
        '{"id":1} x', '{"id":1}]', '[{"id":1}]', 'null',
        '{"id":1,"a":"x', '\ufeff{"id":1}', "{'id':1}", '{"id":1;"a":2}',
        '{"id":1,"x":{"a":1,"a":2}}', '{"id":1,"x":"\\ud800"}', '{"id":1,"x":[1,]}', '{"id":1,"x":{"a":1}',
        '{"id":1,"new":{"k":1,"k":2}}', '{"id":1,"new":"\\u0000"}', '{"id":1,"x":1e999999}',
        '{"id":"0x1F"}', '{"id":1.5}', '{}', '{"a":"x"}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [0, 300])
def test_paths_agree_on_a_faulty_record(paths: Paths, contract_of, before: int, content: str) -> None:
    good = [f'{{"id":{at},"a":"x","x":null,"new":1}}' for at in range(before)]
    contract = contract_of(Column("id", ColumnType.INTEGER, required=True), A, JSON)
    assert paths.agree(contract, "\n".join([*good, content]).encode()) is None
    assert paths.agree(contract, "\n".join([*good, content, *good]).encode()) is None
    assert paths.agree(contract, f"[{', '.join([*good, content])}]".encode(), DOCUMENT) is None


@pytest.mark.parametrize("content", ['{"id":1,\r"a":"x"}', '{"id":1}\r{"id":2}'])
def test_carriage_return_alone_ends_a_line(paths: Paths, contract_of, content: str) -> None:
    assert paths.agree(contract_of(ID, A), content.encode()) is None


@pytest.mark.parametrize(
    "content",
    [
        "[]", '{"id":1}',
        '[{"id":1}', '[{"id":1},]', '[{"id":1}] x', '[{"id":1}]]', '[{"id":1}][{"id":2}]', '[{"id":1},5]',
        '[{"id":1}]\x1e', '[{"id":1}\x1e{"id":2}]',
        '[{"id":1} {"id":2}]', '[{"id":1},{"id":2}\n{"id":3}]', '[5,{"id":1}]',
        '[{"id":1},,{"id":2}]', '[{"id":1},{"id":2}},{"id":3}]',
    ],
)  # fmt: skip
def test_paths_agree_on_a_faulty_array(paths: Paths, contract_of, content: str) -> None:
    assert paths.agree(contract_of(ID), content.encode(), DOCUMENT) is None


@pytest.mark.parametrize(
    "content",
    [
        '{"\\x":1,"data":[{"id":1}]}', '{"n" 1,"data":[{"id":1}]}', '{5:1,"data":[{"id":1}]}',
        '{"n":[1,"data":[{"id":1}]}',
        '{"data":[{"id":1},\ufeff{"id":2}]}',
        '{"data":[{"id":1}]', '{"data":[{"id":1}]}x', '{"data":[{"id":1}],"data":[]}', '{"data":[{"id":1}],"n":NaN}',
        '{"data":[{"id":1}]}{"data":[{"id":2}]}', '{"data":[{"id":1}]}\n{"n":1}',
        '{"data":{"id":1}}', '{"n":[{"id":1}]}',
        '{"data":[],"n":[{"id":1}]}', '{"n":1,"n":[{"data":1}]}', '{"data":[{"id":1}]],"n":1}', '[{"data":[{"id":1}]}]',
        '{"data":[{"id":1}],"data":[{"id":2}]}', '{"\\u0064ata":[{"id":1}],"data":[{"id":2}]}',
    ],
)  # fmt: skip
def test_paths_agree_on_what_surrounds_the_records(paths: Paths, contract_of, content: str) -> None:
    assert paths.agree(contract_of(ID, dialect=DATA), content.encode(), DOCUMENT) is None


@pytest.mark.parametrize("size", [50_000, 99_970, 100_050, 250_000])
@pytest.mark.parametrize("kind", [NDJSON, DOCUMENT])
def test_paths_agree_on_long_records(paths: Paths, contract_of, kind: FileFormat, size: int) -> None:
    records = ['{"id":1,"a":"x"}'] * 5 + [f'{{"id":2,"a":"{"y" * size}"}}'] + ['{"id":3,"a":"z"}'] * 5
    content = "\n".join(records) if kind is NDJSON else f"[{', '.join(records)}]"
    fast = paths.agree(contract_of(ID, A), content.encode(), kind)
    assert (fast is not None) is (size < 99_980)


@given(rows=st.lists(VALUES, min_size=1, max_size=5))
@budget(max_examples=15, deadline=None)
def test_paths_agree_on_every_type(paths: Paths, contract_of, rows: list[dict]) -> None:
    lines = [json_line({"id": f"k{at}"} | {name: row[name] for name in row}) for at, row in enumerate(rows)]
    paths.agree(contract_of(), "\n".join(lines).encode())
    paths.agree(contract_of(), f"[{', '.join(lines)}]".encode(), DOCUMENT)


TOKENS = st.sampled_from(
    ['{', '}', '[', ']', ':', ',', ' ', '\n', '\\', '"', '"id"', '"a"', '"m"', '"v"', '"x"', "null", "1", "1.50", "-0",
     "true", '"y"', '"\\u00e9"', '"\\""', '"id":1', '{"id":1', '"a":"b"', '"m":{"v":5}', '"x":{}',
     "\x1e", "\r", "\ufeff"]
)  # fmt: skip


@given(
    tokens=st.lists(TOKENS, max_size=14), kind=st.sampled_from([NDJSON, DOCUMENT]), mode=st.sampled_from(UnknownColumns)
)
@example(tokens=["{", '"id":1', ",", '"m":{"v":5}', "}"], kind=NDJSON, mode=UnknownColumns.RESCUE)
@budget(max_examples=400, deadline=None)
def test_paths_agree_on_any_structure(
    paths: Paths, contract_of, tokens: list[str], kind: FileFormat, mode: UnknownColumns
) -> None:
    contract = contract_of(Column("id", ColumnType.TEXT), A, DEEP, JSON, unknown_columns=mode)
    text = "".join(tokens)
    paths.agree(contract, text.encode(), kind)
    paths.agree(contract, (text + '{"id":"k"}\n' * 3).encode(), kind)
    paths.agree(contract, f'[{text},{{"id":"k"}}]'.encode(), DOCUMENT)


def test_records_meet_the_border_of_a_block(paths: Paths, contract_of, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [f'{{"id": {at}, "a": "{"é" * (at % 7)}", "b": {at}.5}}' for at in range(60)]
    for block in (200, 211, 223):
        monkeypatch.setattr(vectorised_json, "_BLOCK_BYTES", block)
        contract = contract_of(ID, A, B)
        assert len(paths.agree(contract, "\n".join(records).encode()) or ()) == 60
        assert len(paths.agree(contract, f"[{', '.join(records)}]".encode(), DOCUMENT) or ()) == 60
        data = f'{{"data": [{", ".join(records)}], "o": [{", ".join(records)}]}}'
        assert len(paths.agree(contract_of(ID, A, B, dialect=DATA), data.encode(), DOCUMENT) or ()) == 60


@pytest.mark.parametrize("content", [b'{"id":"a","t":"x"}\n', b'[{"id":"a","t":"x"}]'])
def test_validate_takes_the_fast_path_of_json(stages, contract_of, content: bytes) -> None:
    validated = stages.validate(contract_of(), content)
    assert (validated.path_taken, validated.rows_read) == ("fast", 1)


@pytest.mark.parametrize("mode", [UnknownColumns.IGNORE, UnknownColumns.RESCUE])
@pytest.mark.parametrize("text", [b"\xff", b"\xed\xa0\x80", b"\xc3", b"\\ud800"], ids=["byte", "half", "cut", "escape"])
@pytest.mark.parametrize("key", ["a", "new"])
def test_fast_path_reads_no_broken_encoding(
    paths: Paths, contract_of, mode: UnknownColumns, text: bytes, key: str
) -> None:
    good = f'{{"id":1,"{key}":"x"}}\n' * 200
    content = good.encode() + f'{{"id":2,"{key}":"'.encode() + text + b'"}\n'
    assert paths.agree(contract_of(ID, A, unknown_columns=mode), content) is None


@pytest.mark.parametrize(
    "record",
    ['{"a":"\\u0000","id":2}', '{"a":"\\ud800","id":2}', '{"a":"x","a":"y","id":2}', '{"a":"x","other":1,"id":2}',
     '{"a":[1],"id":2}', '{"a":"x","m":5,"id":2}', '{"a":"x","m":{"v":[5]},"id":2}', '{"a":"x","m":{"w":1},"id":2}'],
)  # fmt: skip
def test_record_with_keys_in_another_order_is_not_taken_on_trust(paths: Paths, contract_of, record: str) -> None:
    content = '{"id":1,"a":"x","m":{"v":1}}\n' * 200 + record
    contract = contract_of(Column("id", ColumnType.INTEGER), A, DEEP)
    assert paths.agree(contract, content.encode()) is None
    good = '{"a":"x, \\"é","m":{"v":7},"id":2}'
    assert (paths.agree(contract, content.replace(record, good).encode()) or [{}])[-1]["a"] == 'x, "é'


@pytest.mark.parametrize(
    "content", ['{"id":1,"m":{}}', '{"id":1,"m":null}', '{"id":1,"m":[{"v":1}]}', '{"id":1,"m":7}']
)
def test_required_column_whose_path_leads_nowhere_needs_the_slow_path(paths: Paths, contract_of, content: str) -> None:
    contract = contract_of(ID, Column("v", ColumnType.INTEGER, path="m.v", required=True))
    assert paths.agree(contract, content.encode()) is None


def test_messages_and_keyed_records_need_the_slow_path(paths: Paths, contract_of) -> None:
    keyed = contract_of(ID, A, dialect=Dialect(key_column="id"))
    assert paths.fast(keyed, b'[{"id":1,"a":"x"}]', DOCUMENT) is None
    text = SpooledFile(paths.write(b'{"id":1}\n'), "", 9, records_alone=True)
    with pytest.raises(FallBackToSlowPath):
        list(typed_json(text, NDJSON, contract_of(ID), paths.connection, LIMITS))


def test_number_of_a_text_column_is_not_read_as_a_number(paths: Paths, contract_of) -> None:
    rows = paths.agree(contract_of(ID, TEXT, Column("n", ColumnType.NUMBER)), b'{"id":1,"x":1.10,"n":1.10}\n')
    assert [row["x"] for row in rows or ()] == ["1.10"]

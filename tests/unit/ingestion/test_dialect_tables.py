"""CSV files as banks, shops and databases export them: the options of `dialect`, on both paths with equal verdicts."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from include.contracts.dialect import Dialect
from include.contracts.model import Column, ColumnType, ErrorBudget
from include.errors import Code, visible

pytestmark = pytest.mark.unit

ID = Column("id", ColumnType.INTEGER, required=True)
NAME = Column("name", ColumnType.TEXT)
AMOUNT = Column("amount", ColumnType.NUMBER, precision=12, scale=2)
FLAG = Column("flag", ColumnType.BOOLEAN)
ALL = (ID, NAME, AMOUNT)
BAD_NUMBER, BAD_INTEGER = Code.BAD_NUMBER, Code.BAD_INTEGER


class Outcome:
    """What both paths make of a file: rows by number, codes and lines of the refused ones, and the path taken."""

    def __init__(self, stages, contract, content: bytes) -> None:
        fast = stages.validate(contract, content)
        slow = stages.validate(contract, content, slow=True)
        self.rows = rows_of(stages, contract, fast)
        assert self.rows == rows_of(stages, contract, slow)
        self.refused = [(one.source_line, one.column, one.code) for one in fast.rejects.first]
        assert self.refused == [(one.source_line, one.column, one.code) for one in slow.rejects.first]
        self.messages = [one.message for one in fast.rejects.first]
        self.raws = [one.raw for one in fast.rejects.first]
        self.path = fast.path_taken
        self.layout = str(fast.layout)


def rows_of(stages, contract, validated) -> list[tuple]:
    names = [column.name for column in contract.columns]
    return [tuple(row[name] for name in names) for row in stages.processed(contract, validated)]


@pytest.fixture
def outcome(stages, contract_of):
    def run(content: bytes, *columns: Column, **dialect: object) -> Outcome:
        contract = contract_of(*(columns or ALL), dialect=Dialect(**dialect), budget=ErrorBudget(share=1.0))
        return Outcome(stages, contract, content)

    return run


ROWS = [(1, "Ada", Decimal("1.50")), (2, "Ben", None)]

NULL_ESCAPED = {"null_values": ("\\N",), "escape": "\\"}
SAME_ROWS = [
    pytest.param("id;name;amount\n1;Ada;1.50\n2;Ben;\n", {"delimiter": ";"}, "fast", id="delimiter"),
    pytest.param("id~name~amount\n1~Ada~1.50\n2~Ben~\n", {"delimiter": "~"}, "fast", id="delimiter-odd"),
    pytest.param("id name amount\n1 Ada 1.50\n2 Ben \n", {"delimiter": " "}, "fast", id="delimiter-space"),
    pytest.param("id§name§amount\n1§Ada§1.50\n2§Ben§\n", {"delimiter": "§"}, "slow", id="delimiter-not-ascii"),
    pytest.param("id,name,amount\n1,'Ada',1.50\n2,'Ben',''\n", {"quote": "'"}, "fast", id="quote"),
    pytest.param("id,name,amount\n1,Ada,1.50\n2,Ben,\n", {"quote": ""}, "fast", id="no-quote"),
    pytest.param("id,name,amount\n1,A\\da,1.50\n2,Ben,\n", {"escape": "\\"}, "fast", id="escape"),
    pytest.param('id,name,amount\n1,"A\\da",1.50\n2,Ben,\n', {"escape": "\\"}, "fast", id="escape-in-quotes"),
    pytest.param("1,Ada,1.50\n2,Ben,\n", {"has_header": False}, "fast", id="no-header"),
    pytest.param("1;Ada;1.50\n2;Ben;\n", {"has_header": False}, "fast", id="no-header-delimiter-found"),
    pytest.param("1.50,1,Ada\n,2,Ben\n", {"has_header": False, "header": ("amount", "ID", "Name")}, "fast", id="names"),
    pytest.param("a\nb,,\n\nid,name,amount\n1,Ada,1.50\n2,Ben,\n", {"skip_lines": 3}, "fast", id="skip"),
    pytest.param('"a\n"b"\nid,name,amount\n1,Ada,1.50\n2,Ben,\n', {"skip_lines": 2}, "fast", id="skip-open-quote"),
    pytest.param("a\r\nb\rc\nid,name,amount\n1,Ada,1.50\n2,Ben,\n", {"skip_lines": 3}, "fast", id="skip-line-ends"),
    pytest.param("id,name,amount\n1,Ada,1.50\n2,Ben,\nSum;2\n", {"footer_lines": 1}, "fast", id="footer"),
    pytest.param("id,name,amount\n1,Ada,1.50\n2,Ben,\n\nx\n\ny\r\n\r\n \n", {"footer_lines": 4}, "fast", id="gaps"),
    pytest.param("id,name,amount\r\n1,Ada,1.50\r\n2,Ben,\r\nx\r\ny", {"footer_lines": 2}, "fast", id="footer-no-end"),
    pytest.param("# id\nid,name,amount\n1,Ada,1.50\n#2,Eve,\n2,Ben,\n#", {"comment": "#"}, "fast", id="comment"),
    pytest.param("-- it's \"\nid,name,amount\n1,Ada,1.50\n2,Ben,\n", {"comment": "--"}, "fast", id="comment-quote"),
    pytest.param("sep=;\nid;name;amount\n1;Ada;1.50\n2;Ben;\n", {}, "fast", id="sep"),
    pytest.param('"sep=\t"\r\nid\tname\tamount\r\n1\tAda\t1.50\r\n2\tBen\t\r\n', {}, "fast", id="sep-tab"),
    pytest.param("SEP=|\n1|Ada|1.50\n2|Ben|\n", {"has_header": False}, "fast", id="sep-no-header"),
    pytest.param("x\nsep=;\nid;name;amount\n1;Ada;1.50\n2;Ben;\n", {"skip_lines": 1}, "fast", id="sep-after-skipped"),
    pytest.param("sep=;\nid;name;amount\n1;Ada;1.50\n2;Ben;\n", {"delimiter": ";"}, "fast", id="sep-and-delimiter"),
    pytest.param("id,name,amount\n1,Ada,1.50\n2,Ben,NULL\n", {"null_values": ("NULL",)}, "fast", id="null"),
    pytest.param("id,name,amount\n1,Ada,1.50\n2,Ben,\\N\n", {"null_values": ("\\N",)}, "fast", id="null-backslash"),
    pytest.param("id,name,amount\n1,Ada,1.50\n2,Ben,\\N\n", NULL_ESCAPED, "fast", id="null-esc"),
    pytest.param('id,name,amount\n1,"Ada",1.50\n2,"Ben",""\n', {"null_values": ("-",)}, "fast", id="null-quoted-empty"),
    pytest.param("id;name;amount\n1;Ada;1,50\n2;Ben;\n", {"decimal": ","}, "fast", id="decimal"),
    pytest.param("id;name;amount\n1;Ada;1,5\n2;Ben;\n", {"decimal": ",", "thousands": "."}, "fast", id="thousands"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "dialect", "path"), SAME_ROWS)
def test_a_dialect_is_read_on_both_paths(outcome, text: str, dialect: dict, path: str) -> None:
    found = outcome(text.encode(), **dialect)
    assert (found.rows, found.refused, found.path) == (ROWS, [], path)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("text", "dialect", "path"), SAME_ROWS)
def test_a_dialect_is_read_in_any_encoding(outcome, text: str, dialect: dict, path: str, compressed: bool) -> None:
    import gzip

    body = text.replace("Ada", "Łucja").encode("cp1250") if dialect.get("delimiter") != "§" else text.encode("cp1250")
    found = outcome(gzip.compress(body) if compressed else body, **dialect, encoding="cp1250")
    assert (found.rows[0][0], found.rows[1:], found.refused) == (1, ROWS[1:], [])
    assert found.rows[0][1] in {"Łucja", "Ada"}
    assert found.layout == ("csv; gzip; cp1250" if compressed else "csv; cp1250")


REFUSED = [
    pytest.param("1,'Ada,1\n2,Ben,", {"quote": "'"}, [(2, None, Code.BROKEN_QUOTE)], id="quote-open"),
    pytest.param("1,'A'da,1\n2,Ben,", {"quote": "'"}, [(2, None, Code.BROKEN_QUOTE)], id="quote-in-field"),
    pytest.param('1,"A,da",1\n2,Ben,', {"quote": ""}, [(2, None, Code.TOO_MANY_FIELDS)], id="no-quote"),
    pytest.param("1,Ada,x\\\n\n2,Ben,", {"escape": "\\"}, [(2, "amount", BAD_NUMBER)], id="escaped-line-end"),
    pytest.param("1,a#b,x\n#c\n2,Ben,", {"comment": "#"}, [(2, "amount", BAD_NUMBER)], id="comment-in-a-line"),
    pytest.param("1,-,x\n2,Ben,-", {"null_values": ("-",)}, [(2, "amount", BAD_NUMBER)], id="null"),
    pytest.param('1,Ada,"-"\n2,Ben,-', {"null_values": ("-",)}, [(2, "amount", BAD_NUMBER)], id="null-in-quotes"),
    pytest.param("1,Ada,Null\n2,Ben,NULL", {"null_values": ("NULL",)}, [(2, "amount", BAD_NUMBER)], id="null-case"),
    pytest.param("1,Ada, -\n2,Ben,-", {"null_values": ("-",)}, [(2, "amount", BAD_NUMBER)], id="null-with-a-blank"),
    pytest.param("1,Ada,\\\\N\n2,Ben,\\N", NULL_ESCAPED, [(2, "amount", BAD_NUMBER)], id="null-escaped"),
    pytest.param("1,Ada,1,50\n2,Ben,", {"decimal": ","}, [(2, None, Code.TOO_MANY_FIELDS)], id="decimal-unquoted"),
    pytest.param("sep=;,,\n2,Ben,", {}, [(2, "id", BAD_INTEGER)], id="sep-is-data-after-the-header"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "dialect", "refused"), REFUSED)
def test_a_fault_refuses_its_row_alone(outcome, text: str, dialect: dict, refused: list) -> None:
    found = outcome(f"id,name,amount\n{text}\n".encode(), **dialect)
    assert (found.rows, found.refused, found.path) == ([(2, "Ben", None)], refused, "slow")


@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("1.234,50", Decimal("1234.50")), ("1234,5", Decimal("1234.5")), ("-1.234.567,00", Decimal("-1234567")),
        ("+0,5", Decimal("0.5")), (",5", Decimal("0.5")), ("5,", Decimal(5)), (" 1.234 ", Decimal(1234)),
        ("1,5E+2", Decimal(150)), ("12", Decimal(12)), ("999.999", Decimal(999999)), ("", None), ("  ", None),
        ("12.34,5", BAD_NUMBER), ("1,234.5", BAD_NUMBER), ("1.5", BAD_NUMBER), ("1..234", BAD_NUMBER),
        (".234", BAD_NUMBER), ("1.234.", BAD_NUMBER), ("1.2345", BAD_NUMBER), ("0.123", BAD_NUMBER),
        ("1.234e3", BAD_NUMBER), ("1 234", BAD_NUMBER), ("1'234", BAD_NUMBER), ("1,2,3", BAD_NUMBER),
        ("5-", BAD_NUMBER), ("1,005", Code.TOO_MANY_DECIMALS), ("99.999.999.999", Code.OUT_OF_RANGE),
        ("1.000.000.000", Decimal(10**9)), ("1.23.456", BAD_NUMBER), ("--1", BAD_NUMBER),
        ("1\u00a0234", BAD_NUMBER), ("€5", BAD_NUMBER), (",", BAD_NUMBER), ("x", BAD_NUMBER),
    ],
)  # fmt: skip
def test_numbers_with_a_decimal_comma(outcome, delimiter: str, cell: str, expected: object) -> None:
    text = f'id{delimiter}amount\n1{delimiter}"{cell}"\n2{delimiter}"7,25"\n'
    found = outcome(text.encode(), ID, AMOUNT, decimal=",", thousands=".")
    good = [(2, Decimal("7.25"))]
    if isinstance(expected, Code):
        assert (found.rows, found.refused) == (good, [(2, "amount", expected)])
        if expected is Code.BAD_NUMBER:
            assert found.messages == [
                f"'{visible(cell)}' is not a number of the contract's dialect, as 1.234,50: decimal mark ',', "
                "thousands separator '.' in groups of three digits."
            ]
    else:
        assert (found.rows, found.refused) == ([(1, expected), *good], [])


@pytest.mark.parametrize(
    ("cell", "thousands", "expected"),
    [
        ("1,234", ",", 1234), ("-1,234,567", ",", -1234567), ("1234", ",", 1234), ("1,234.0", ",", 1234),
        ("9,223,372,036,854,775,807", ",", 2**63 - 1), ("9,223,372,036,854,775,808", ",", Code.OUT_OF_RANGE),
        ("12,34", ",", BAD_INTEGER), ("1,234.5", ",", BAD_INTEGER), ("1.234", ",", BAD_INTEGER),
        ("1'234", "'", 1234), ("1 234 567", " ", 1234567), ("1\u00a0234", "\u00a0", 1234), ("", ",", None),
        ("1\u202f234", "\u202f", 1234),
        ("1\u2019234", "\u2019", 1234), ("1\u00a0234", " ", BAD_INTEGER), ("0x1F", ",", BAD_INTEGER),
        ("1,234-", ",", BAD_INTEGER), ("1_234", ",", BAD_INTEGER),
    ],
)  # fmt: skip
def test_whole_numbers_with_thousands(outcome, cell: str, thousands: str, expected: object) -> None:
    count = Column("count", ColumnType.INTEGER)
    found = outcome(f"id;count\n1;{cell}\n2;7\n".encode(), ID, count, thousands=thousands)
    if isinstance(expected, Code):
        assert (found.rows, found.refused) == ([(2, 7)], [(2, "count", expected)])
    else:
        assert (found.rows, found.refused) == ([(1, expected), (2, 7)], [])


@pytest.mark.parametrize("kind", [ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.FLOAT])
@pytest.mark.parametrize(
    ("cell", "expected"),
    [("12-", -12), ("-12", -12), ("12", 12), ("1,200-", -1200), ("-12-", None), ("-", None), ("12 -", None)],
)
def test_a_minus_behind_a_number(outcome, kind: ColumnType, cell: str, expected: int | None) -> None:
    column = Column("value", kind, precision=12, scale=2)
    text = f"id;value\n1;{cell}\n2;7\n".encode()
    found = outcome(text, ID, column, thousands=",", trailing_minus=True)
    assert found.rows == ([(1, expected)] if expected is not None else []) + [(2, 7)]
    assert found.path == ("fast" if expected is not None else "slow")
    without = outcome(text, ID, column, thousands=",")
    assert (cell in {"-12", "12"}) == (not without.refused)


def test_a_number_that_is_usual_in_all_rows_but_one(outcome) -> None:
    rows = [f"{at};{at},5" for at in range(1, 200)]
    found = outcome("\n".join(["id;amount", *rows, "200;1.5"]).encode(), ID, AMOUNT, decimal=",")
    assert (len(found.rows), found.refused) == (199, [(201, "amount", BAD_NUMBER)])


def test_words_for_true_and_false(outcome) -> None:
    text = "id,flag\n1,Ja\n2,nein\n3,true\n4,JA\n5,N\n6,да\n7,ДА\n8,oui\n"
    flag = replace(FLAG, true_words=("ja", "да"), false_words=("Nein",))
    found = outcome(text.encode(), ID, flag)
    assert [flag for _, flag in found.rows] == [True, False, True, True, False, True, True]
    assert found.refused == [(9, "flag", Code.BAD_BOOLEAN)]
    assert "ja, да; Nein" in found.messages[0]
    without_a_fault = text.rpartition("8")[0].encode()
    assert outcome(without_a_fault, ID, flag).path == "slow"  # ДА is not among the spellings that Arrow gets
    assert outcome(without_a_fault.replace("ДА".encode(), "да".encode()), ID, flag).path == "fast"


@pytest.mark.parametrize("header", [True, False])
def test_a_record_that_repeats_the_header_is_refused(outcome, header: bool) -> None:
    text = ("id,name,amount\n" if header else "") + "1,Ada,1.50\nid,name,amount\n2,Ben,\n"
    found = outcome(text.encode(), has_header=header, null_values=("name",))
    assert (found.rows, found.refused) == (ROWS, [(3 if header else 2, None, Code.REPEATED_HEADER)])


def test_names_of_the_contract_hold_the_columns_of_a_file_without_a_header(outcome, stages, contract_of) -> None:
    found = outcome(b"1,Ada,1.50\n2,Ben\n3,Eve,1,2\n", has_header=False)
    assert found.refused == [(2, None, Code.TOO_FEW_FIELDS), (3, None, Code.TOO_MANY_FIELDS)]
    contract = contract_of(*ALL, dialect=Dialect(delimiter=";"))
    assert stages.refusal(contract, b"sep=,\nid;name;amount\n1;Ada;1\n").code is Code.MISSING_COLUMNS
    contract = contract_of(*ALL, dialect=Dialect(skip_lines=3, footer_lines=2))
    for few in (b"a\n", b"a\nb\nc\n", b"id,name,amount\n1,a,1\nx\ny\n", b"a\nb\nc\nd\ne\n"):
        assert stages.refusal(contract, few).code is Code.EMPTY_FILE
    assert stages.refusal(contract, b"a\nb\nc\nid,name,amount\nd\ne\n").code is Code.NO_ROWS


def test_options_of_tables_do_not_hold_for_json(stages, contract_of) -> None:
    dialect = Dialect(skip_lines=1, footer_lines=1, decimal=",", thousands=".", null_values=("Ada",), comment="{")
    contract = contract_of(*ALL, dialect=dialect)
    lines = b'{"id": 1, "name": "Ada", "amount": 1.234e3}\n{"id": 2, "name": "Ben", "amount": "1.5"}\n'
    assert rows_of(stages, contract, stages.validate(contract, lines)) == [
        (1, "Ada", Decimal(1234)),
        (2, "Ben", Decimal("1.50")),
    ]


BANK = '''\
Kontoauszug;;;
"Kontonummer:";"DE02 1203 0000 0000 2020 51";;
Zeitraum: 01.11.26 bis 30.11.26;;;

"Buchungstag";"Empfänger";"Betrag (€)";"Gebühr";"Gebucht"
"02.11.26";"Müller & Söhne";"-1.234,56";"0,00";"ja"
"03.11.26";"Café ""Größe""";"12,00";"";"nein"
"30.11.26";"@ódz Sp.";"99,999";"";"ja"
"31.11.26";"Niemand";"1,00";"";"ja"
;;"-1.222,56";;Saldo
Ende des Auszugs
'''


def test_a_german_bank_statement_loads_as_it_is_exported(stages, contract_of) -> None:
    columns = (
        Column("booked_on", ColumnType.DATE, required=True, formats=("%d.%m.%y",), source_names=("Buchungstag",)),
        Column("payee", ColumnType.TEXT, source_names=("Empfänger",)),
        Column("amount", ColumnType.NUMBER, precision=12, scale=2, source_names=("Betrag (EUR)", "Betrag (€)")),
        Column("fee", ColumnType.NUMBER, precision=12, scale=2, source_names=("Gebühr",)),
        Column("booked", ColumnType.BOOLEAN, true_words=("ja",), false_words=("nein",), source_names=("Gebucht",)),
    )
    dialect = Dialect(
        encoding="cp1252", delimiter=";", skip_lines=4, footer_lines=2, decimal=",", thousands=".",
        true_values=("ja",), false_values=("nein",),
    )  # fmt: skip
    contract = contract_of(*columns, dialect=dialect, key=("booked_on",))
    body = BANK.replace("\n", "\r\n").encode("cp1252").replace(b"@", b"\x81")
    found = Outcome(stages, contract, body)
    assert found.rows == [
        (date(2026, 11, 2), "Müller & Söhne", Decimal("-1234.56"), Decimal(0), True),
        (date(2026, 11, 3), 'Café "Größe"', Decimal("12.00"), None, False),
    ]
    assert found.refused == [(8, None, Code.BAD_ENCODING), (9, "booked_on", Code.BAD_DATE)]
    assert found.messages[0].startswith("Byte 0x81 at character 13 is no character of the encoding")
    assert found.raws[0].startswith('"30.11.26";"\\x81')
    clean = b"\r\n".join(line for line in body.split(b"\r\n") if not line.startswith((b'"30.11', b'"31.11')))
    assert Outcome(stages, contract, clean).path == "fast"

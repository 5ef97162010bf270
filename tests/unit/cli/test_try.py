"""`filegate try` without a platform: the verdict, rejected rows, the dataset that it chooses, and what it leaves."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tempfile
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc
from typer.testing import CliRunner

from include.cli import trial
from include.contracts.model import ErrorBudget
from include.contracts.reader import read_contract
from include.ingestion import fetch
from include.ingestion.attempt import Stores
from include.ingestion.trial import recognise
from include.ingestion.trial.dry_run import DryRunStores, dry_run
from include.samples.badness import Bad, BadKind, SampleFormat
from include.samples.writer import Sample, write_sample
from include.settings import CONTRACTS_DIR, IngestSettings
from tests.archive_files import tarred, zipped
from tests.workbook_files import ods, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of the command, with a temporary folder and contracts of its own."""
    for name in ("work", "temporary", "contracts"):
        (tmp_path / name).mkdir()
    for name in ("sales", "transactions"):
        text = (CONTRACTS_DIR / f"{name}.yaml").read_text(encoding="utf-8")
        (tmp_path / "contracts" / f"{name}.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(trial, "finds_platform", lambda _: False)
    settings = IngestSettings(contracts_dir=tmp_path / "contracts", spool_dir=tmp_path / "spool")
    monkeypatch.setattr("include.settings.ingest_settings", lambda: settings)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def sample(path: Path, rows: int = 30, dataset: str = "sales", **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    file_format = how.pop("file_format", SampleFormat.CSV)
    write_sample(Sample(read_contract(CONTRACTS_DIR / f"{dataset}.yaml"), rows, **how), path, file_format)
    return path


def try_file(*arguments: object) -> Result:
    return CliRunner().invoke(trial.app, [str(one) for one in arguments])


def document(*arguments: object, code: int = 0) -> dict[str, Any]:
    done = try_file(*arguments, "--json")
    assert done.exit_code == code, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_try_prints_verdict_counts_and_the_first_rows_and_leaves_nothing(folder: Path) -> None:
    path = sample(folder / "export.csv")
    before = path.read_bytes()
    done = try_file(path)
    assert done.exit_code == 0, done.output
    assert "would load" in done.output
    assert "30 read, 30 to load, 0 duplicate, 0 rejected" in done.output
    assert "no platform runs, so what it would insert and update is unknown" in done.output
    found = document(path)
    assert [row["_source_row"] for row in found["first_rows"]] == list(range(1, 11))
    assert found["first_rows"][0]["sale_id"] == before.decode().splitlines()[1].split(",")[0]
    assert found["table"] is None
    assert (path.read_bytes(), list(folder.iterdir())) == (before, [path])
    assert list((folder.parent / "temporary").iterdir()) == []
    assert not (folder.parent / "spool").exists()


def test_try_expands_a_text_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sample(folder / "export.csv")
    compressed = folder / "export.csv.gz"
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    original, found = fetch.expanded, []

    def counted(file: Path, compression: str) -> Iterator[bytes]:
        found.append(compression)
        return original(file, compression)

    monkeypatch.setattr(fetch, "expanded", counted)
    shown = document(compressed, "--dataset", "sales")
    assert (shown["rows"]["read"], shown["format"]["delimiter"]) == (30, ",")
    assert found == ["none", "gzip"], "the copy, and the text"


def test_try_of_a_refused_file_ends_with_4_and_names_line_column_code_and_value(folder: Path) -> None:
    path = sample(folder / "export.csv", bad=[Bad(BadKind.BAD_DATE, 1)])
    found = document(path, code=4)
    assert (found["verdict"], found["code"]) == ("would be refused", "error-budget-exceeded")
    [row] = found["rejected_rows"]
    assert (row["column"], row["code"], row["value"]) == ("sale_date", "bad-date", "2026-02-30")
    assert path.read_text(encoding="utf-8").splitlines()[row["line"] - 1] == row["raw_record"]
    shown = try_file(path).output
    words = next(line for line in shown.splitlines() if line.startswith(str(row["line"]))).split()
    assert words == [str(row["line"]), "sale_date", "bad-date", "2026-02-30"]
    assert "'2026-02-30' is not a date" in shown


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "empty-file"), (b"\x89PNG\r\n\x1a\n", "unknown-format"), (b"sale_id\n1\n", "missing-columns")],
    ids=["empty", "picture", "columns"],
)
def test_try_of_a_file_that_is_refused_as_a_whole_has_its_code(folder: Path, content: bytes, code: str) -> None:
    (folder / "export").write_bytes(content)
    found = document("export", "--dataset", "sales", code=4)
    assert found["code"] == code
    assert found["rows"]["to_load"] == 0


@pytest.mark.parametrize(
    "file_format", [SampleFormat.CSV, SampleFormat.JSON, SampleFormat.NDJSON, SampleFormat.PARQUET]
)
def test_try_recognises_the_dataset_by_its_columns_in_every_format(folder: Path, file_format: SampleFormat) -> None:
    path = sample(folder / "export", file_format=file_format)
    found = document(path)
    assert found["dataset"] == "sales"
    assert found["chosen_because"] == "it has 11 of the 11 columns of the contract, among 11"
    assert found["format"]["format"] == file_format
    assert found["rows"] == {"read": 30, "to_load": 30, "duplicate": 0, "rejected": 0}


@pytest.mark.parametrize("kind", ["xlsx", "ods", "avro", "orc", "arrow"])
def test_try_recognises_the_dataset_of_binary_files(folder: Path, kind: str) -> None:
    rows = list(csv.reader(io.StringIO(sample(folder / "export.csv").read_text(encoding="utf-8"))))
    arrays = pa.table(
        {name: pa.array(column) for name, column in zip(rows[0], zip(*rows[1:], strict=True), strict=True)}
    )
    target = io.BytesIO()
    match kind:
        case "xlsx":
            target.write(table(rows))
        case "ods":
            target.write(ods({"S": rows}))
        case "avro":
            fields = [{"name": name, "type": "string"} for name in rows[0]]
            schema = {"type": "record", "name": "row", "fields": fields}
            fastavro.writer(target, schema, arrays.to_pylist())
        case "orc":
            orc.write_table(arrays, target)
        case _:
            with pa.ipc.new_file(target, arrays.schema) as writer:
                writer.write_table(arrays)
    (folder / "export").write_bytes(target.getvalue())
    found = document("export")
    assert (found["dataset"], found["format"]["format"]) == ("sales", kind)
    assert found["chosen_because"] == "it has 11 of the 11 columns of the contract, among 11"
    assert found["rows"] == {"read": 30, "to_load": 30, "duplicate": 0, "rejected": 0}


def test_try_of_an_archive_has_the_verdict_on_each_member(folder: Path) -> None:
    good = sample(folder / "good.csv").read_text(encoding="utf-8")
    members = {
        "2026/good.csv": good,
        "bad.csv": "sale_id\n1\n",
        "notes.txt": "x",
        "../unsafe.csv": good,
        "in.zip": zipped(),
    }
    (folder / "sales.zip").write_bytes(zipped(*members.items()))
    found = document("sales.zip", "--dataset", "sales", code=4)
    assert found["archive"] == {"format": "zip", "passed_over": 0}
    assert {one["file"]: one["code"] for one in found["members"]} == {
        "2026/good.csv": None, "bad.csv": "missing-columns", "notes.txt": "missing-columns",
        "../unsafe.csv": "unsafe-member-name", "in.zip": "nested-archive",
    }  # fmt: skip
    assert {one["file"]: one["rows"]["to_load"] for one in found["members"]}["2026/good.csv"] == 30
    shown = try_file("sales.zip", "--dataset", "sales").output
    assert "archive   sales.zip, zip; each member loads as a file of its own:" in shown
    assert f"file      2026/good.csv, {len(good.encode()):,} bytes" in shown
    assert list((folder.parent / "temporary").iterdir()) == []


def test_try_of_an_archive_takes_the_members_that_the_contract_names(folder: Path) -> None:
    text = (CONTRACTS_DIR / "sales.yaml").read_text(encoding="utf-8")
    options = "customProperties:\n  - property: dialect\n    value: {member: '2026/*.csv'}"
    path = folder.parent / "contracts" / "sales.yaml"
    path.write_text(text.replace("customProperties:", options, 1), encoding="utf-8")
    good = sample(folder / "good.csv").read_bytes()
    (folder / "sales.tgz").write_bytes(tarred(("2026/a.csv", good), ("b.csv", good), mode="w:gz"))
    found = document("sales.tgz")
    assert found["archive"] == {"format": "tar; gzip", "passed_over": 1}
    assert [one["file"] for one in found["members"]] == ["2026/a.csv"]


def test_a_member_with_the_content_of_an_earlier_one_is_a_duplicate(folder: Path) -> None:
    good = sample(folder / "good.csv").read_bytes()
    (folder / "sales.zip").write_bytes(zipped(("a.csv", good), ("b.csv", good), ("c.csv", good + b"\n")))
    found = document("sales.zip")
    assert [(one["file"], one["verdict"]) for one in found["members"]] == [
        ("a.csv", "would load"), ("b.csv", "would be a duplicate"), ("c.csv", "would load")
    ]  # fmt: skip
    assert "would be a duplicate: its content is that of a.csv" in try_file("sales.zip").output


def test_verdicts_on_members_are_printed_one_after_the_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may have a thousand rejected rows: not all are kept at once."""
    alive = 0
    most = 0
    real = trial._with_trial

    def counted(*given: Any, **how: Any) -> Any:
        nonlocal alive, most
        verdict = real(*given, **how)
        alive, most = alive + 1, max(most, alive + 1)

        def ended() -> None:
            nonlocal alive
            alive -= 1

        weakref.finalize(verdict.trial, ended)
        return verdict

    monkeypatch.setattr(trial, "_with_trial", counted)
    good = sample(folder / "good.csv").read_bytes()
    (folder / "sales.zip").write_bytes(zipped(*((f"{number}.csv", good) for number in range(8))))
    assert len(document("sales.zip")["members"]) == 8
    assert most <= 3


def test_try_recognises_an_archive_by_a_later_member(folder: Path) -> None:
    good = sample(folder / "good.csv").read_bytes()
    (folder / "export.zip").write_bytes(
        zipped(("README.txt", "about the files"), ("b.csv", good), ("in.zip", zipped()))
    )
    found = document("export.zip", code=4)
    assert {one["file"]: one["dataset"] for one in found["members"]}["b.csv"] == "sales"


def test_try_refuses_an_archive_over_the_limit_of_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sales.zip").write_bytes(zipped(("a.csv", sample(folder / "good.csv").read_bytes())))
    settings = IngestSettings(contracts_dir=folder.parent / "contracts", max_file_bytes=100)
    monkeypatch.setattr("include.settings.ingest_settings", lambda: settings)
    assert document("sales.zip", "--dataset", "sales", code=4)["code"] == "too-large"
    done = try_file("sales.zip")
    assert (done.exit_code, done.stdout) == (4, "")
    assert "error: sales.zip would be refused: too-large: The file has" in done.stderr


def test_try_reads_the_header_of_a_workbook_once_for_all_contracts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    real = recognise.sheet_header
    monkeypatch.setattr(recognise, "sheet_header", lambda *given: read.append(1) or real(*given))
    rows = csv.reader(io.StringIO(sample(folder / "export.csv").read_text(encoding="utf-8")))
    (folder / "export").write_bytes(table(list(rows)))
    assert document("export")["dataset"] == "sales"
    assert len(read) == 1


@pytest.mark.parametrize("kind", ["avro", "parquet", "orc", "arrow", "ndjson"])
def test_try_recognises_columns_at_paths(folder: Path, kind: str) -> None:
    path = folder.parent / "contracts" / "sales.yaml"
    header, *lines = csv.reader(io.StringIO(sample(folder / "export.csv").read_text(encoding="utf-8")))
    text = path.read_text(encoding="utf-8")
    for name in header:
        at = f"      - name: {name}\n"
        assert at in text
        text = text.replace(at, f"{at}        customProperties: [{{property: path, value: sale.{name}}}]\n", 1)
    path.write_text(re.sub(r"\n        customProperties:\n(?:          - .*\n)+", "\n", text), encoding="utf-8")
    records = [{"sale": dict(zip(header, line, strict=True))} for line in lines]
    arrays, target = pa.table({"sale": [one["sale"] for one in records]}), io.BytesIO()
    match kind:
        case "avro":
            fields = [{"name": name, "type": "string"} for name in header]
            inner = {"type": "record", "name": "sale", "fields": fields}
            schema = {"type": "record", "name": "row", "fields": [{"name": "sale", "type": inner}]}
            fastavro.writer(target, schema, records)
        case "parquet":
            pq.write_table(arrays, target)
        case "orc":
            orc.write_table(arrays, target)
        case "arrow":
            with pa.ipc.new_file(target, arrays.schema) as writer:
                writer.write_table(arrays)
        case _:
            target.write("".join(json.dumps(one) + "\n" for one in records).encode())
    (folder / "export").write_bytes(target.getvalue())
    found = document("export")
    assert (found["dataset"], found["rows"]["to_load"]) == ("sales", 30)
    assert found["chosen_because"] == "it has 11 of the 11 columns of the contract, among 11"


def test_try_of_a_damaged_archive_has_its_refusal(folder: Path) -> None:
    body = tarred(("a.csv", sample(folder / "good.csv").read_bytes()), mode="w:gz")
    (folder / "sales.tgz").write_bytes(body[:-20])
    assert document("sales.tgz", "--dataset", "sales", code=4)["code"] in {"truncated-file", "unreadable-file"}


def test_try_takes_the_folders_of_an_archive_and_of_its_members(folder: Path) -> None:
    text = (CONTRACTS_DIR / "sales.yaml").read_text(encoding="utf-8")
    partition = "[{property: partition, value: region}]"
    column = f"      - {{name: region_folder, logicalType: string, customProperties: {partition}}}\n"
    at = text.index("    properties:\n") + len("    properties:\n")
    (folder.parent / "contracts" / "sales.yaml").write_text(text[:at] + column + text[at:], encoding="utf-8")
    good = sample(folder / "good.csv").read_text(encoding="utf-8")
    (folder / "sales.zip").write_bytes(zipped(("region=North/a.csv", good), ("region=South/a.csv", good)))
    rows = [one["first_rows"][0]["region_folder"] for one in document("sales.zip")["members"]]
    assert rows == ["North", "South"]


def test_try_prints_what_the_dialect_says(folder: Path) -> None:
    text = (CONTRACTS_DIR / "sales.yaml").read_text(encoding="utf-8")
    options = "customProperties:\n  - property: dialect\n    value: {delimiter: ';', skipLines: 1, decimal: ','}"
    (folder.parent / "contracts" / "sales.yaml").write_text(
        text.replace("customProperties:", options, 1), encoding="utf-8"
    )
    lines = sample(folder / "export.csv").read_text(encoding="utf-8").replace(",", ";").replace(".", ",")
    (folder / "export.csv").write_text(f"Sales\n{lines}", encoding="utf-8")
    done = try_file("export.csv", "--dataset", "sales")
    assert "dialect   delimiter ';', skipLines 1, decimal ','" in done.output
    assert document("export.csv", "--dataset", "sales", code=done.exit_code)["dialect"] == {
        "delimiter": ";", "skipLines": 1, "decimal": ",",
    }  # fmt: skip


def test_try_takes_the_values_of_folders_from_any_path(folder: Path) -> None:
    text = (CONTRACTS_DIR / "sales.yaml").read_text(encoding="utf-8")
    column = (
        "      - {name: region_folder, logicalType: string, customProperties: [{property: partition, value: region}]}\n"
    )
    at = text.index("    properties:\n") + len("    properties:\n")
    (folder.parent / "contracts" / "sales.yaml").write_text(text[:at] + column + text[at:], encoding="utf-8")
    path = sample(folder / "in" / "region=North" / "export.csv")
    for given in (path, path.relative_to(folder)):
        found = document(given, "--dataset", "sales")
        assert {row["region_folder"] for row in found["first_rows"]} == {"North"}


def test_try_names_compression_and_delimiter(folder: Path) -> None:
    text = sample(folder / "export.csv").read_text(encoding="utf-8").replace(",", ";")
    (folder / "export.gz").write_bytes(gzip.compress(text.encode()))
    found = document("export.gz", "--dataset", "sales")["format"]
    assert (found["compression"], found["delimiter"]) == ("gzip", ";")
    assert "format    csv; gzip; delimiter ';'" in try_file("export.gz").output


def test_try_recognises_the_dataset_by_folder_before_its_columns(folder: Path) -> None:
    sample(folder / "transactions" / "export.csv")
    found = document("transactions/export.csv", code=4)
    assert (found["dataset"], found["chosen_because"]) == ("transactions", "it is in a folder transactions/")
    assert document("transactions/export.csv", "--dataset", "sales")["chosen_because"] == "as asked"


def test_try_recognises_the_dataset_by_its_name(folder: Path) -> None:
    sample(folder / "sales_2026.csv")
    assert document("sales_2026.csv")["chosen_because"] == "its name matches a file pattern of the contract"


def test_try_lists_the_datasets_that_are_equally_likely(folder: Path) -> None:
    text = (CONTRACTS_DIR / "sales.yaml").read_text(encoding="utf-8")
    text = text.replace("name: sales\n", "name: returns\n").replace("sales*", "returns*").replace("id: ", "id: r-", 1)
    (folder.parent / "contracts" / "returns.yaml").write_text(text, encoding="utf-8")
    done = try_file(sample(folder / "export.csv"))
    assert done.exit_code == 2
    assert "  returns: it has 11 of the 11 columns" in done.output
    assert "  sales: it has 11 of the 11 columns" in done.output
    assert "may be of several datasets; give --dataset" in done.output


def test_try_of_a_file_of_no_dataset_lists_the_datasets(folder: Path) -> None:
    (folder / "export.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    done = try_file("export.csv")
    assert done.exit_code == 1
    assert "give --dataset, one of: sales, transactions" in done.output


def test_try_of_an_unknown_dataset_names_the_nearest(folder: Path) -> None:
    done = try_file(sample(folder / "export.csv"), "--dataset", "sale")
    assert done.exit_code == 1
    assert "there is no contract for 'sale'; did you mean sales?" in done.output


@pytest.mark.parametrize("name", ["nothing.csv", "."], ids=["missing", "folder"])
def test_try_of_what_is_no_file_is_one_line(name: str) -> None:
    done = try_file(name)
    assert (done.exit_code, done.output) == (1, f"error: there is no file {name}\n")


def test_try_does_not_ask_another_system_and_says_so(folder: Path) -> None:
    found = document(sample(folder / "export.csv", dataset="transactions"))
    assert found["not_checked"] == ["category: another system gives the values and was not asked; shown as -"]
    assert {row["category"] for row in found["first_rows"]} == {None}


def test_try_says_that_expectations_are_not_evaluated(folder: Path) -> None:
    expectations = read_contract(CONTRACTS_DIR / "sales.yaml").expectations
    assert document(sample(folder / "export.csv"))["not_checked"] == [
        f"{len(expectations)} expectations on the whole file"
    ]


def test_a_defect_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("include.ingestion.trial.dry_run.process", fail)
    done = try_file(sample(folder / "export.csv"))
    assert done.exit_code == 1
    assert done.output.startswith("error: internal: The pipeline itself failed (ZeroDivisionError)")
    assert len(done.output.splitlines()) == 1


def test_try_prints_no_control_character_of_a_name_or_a_value(folder: Path) -> None:
    path = sample(folder / "a\x1b[31m.csv")
    path.write_text(path.read_text(encoding="utf-8").replace("West", "We\x1b[31mst"), encoding="utf-8")
    assert "\x1b" not in try_file(path).output


@pytest.mark.parametrize("name", ["objects", "connection", "warehouse", "auditor"])
def test_a_dry_run_has_no_store_that_a_stage_could_write_to(name: str) -> None:
    assert name in Stores.__dataclass_fields__
    with pytest.raises(AttributeError):
        getattr(DryRunStores(), name)


def test_the_ledger_of_a_dry_run_has_no_connection() -> None:
    with pytest.raises(AttributeError):
        DryRunStores().ledger.read(1)


def test_try_reads_a_file_of_another_dialect_as_its_contract_says(folder: Path) -> None:
    text = (CONTRACTS_DIR / "sales.yaml").read_text(encoding="utf-8")
    dialect = '  - {property: dialect, value: {encoding: cp1252, delimiter: ";", decimal: ",", skipLines: 2}}\n'
    text = text.replace("\nschema:", f"{dialect}\nschema:", 1)
    (folder.parent / "contracts" / "sales.yaml").write_text(text, encoding="utf-8")
    lines = sample(folder / "export.csv", 5).read_text(encoding="utf-8").replace(",", ";").replace(".", ",")
    (folder / "export.csv").write_bytes(f"Export;1\nof;today\n{lines}".encode("cp1252"))
    found = document("export.csv")
    assert found["chosen_because"] == "it has 11 of the 11 columns of the contract, among 11"
    assert (found["format"]["encoding"], found["format"]["delimiter"]) == ("cp1252", ";")
    assert found["rows"]["to_load"] == 5


def test_the_first_rows_of_a_file_that_does_not_fit_into_memory_are_shown(folder: Path) -> None:
    contract = read_contract(CONTRACTS_DIR / "sales.yaml")
    settings = IngestSettings(engine_memory_mb=64)
    with dry_run(sample(folder / "export.csv", 300_000), contract, settings) as (trial, planned):
        assert planned is not None
        assert [row["_source_row"] for row in trial.rows] == list(range(1, 11))


def test_the_first_rows_are_found_behind_many_refused_ones(folder: Path) -> None:
    path = sample(folder / "export.csv", 1_200)
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([header, *(line.rsplit(",", 1)[0] for line in lines[:1_195]), *lines[1_195:]]) + "\n")
    contract = replace(read_contract(CONTRACTS_DIR / "sales.yaml"), budget=ErrorBudget(unlimited=True))
    with dry_run(path, contract, IngestSettings()) as (trial, _):
        assert [row["_source_row"] for row in trial.rows] == list(range(1_196, 1_201))

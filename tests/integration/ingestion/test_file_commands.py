"""`filegate files`, `show`, `errors`, `reprocess` and `datasets`, on a ledger with a loaded and a refused file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from filegate_command import Filegate

from include.contracts.catalog import Catalog
from include.contracts.model import ContractStatus, ErrorBudget
from include.ingestion.records import AirflowRun
from include.ingestion.upkeep.move_back import Requeued
from include.ingestion.upkeep.requeue import Selection, requeue
from include.ingestion.upkeep.sweep import sweep
from include.samples.badness import Bad, BadKind
from local import addresses

if TYPE_CHECKING:
    from conftest import MakePipeline
    from ingest_pipeline import Pipeline

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration


@pytest.fixture
def pipeline(make_pipeline: MakePipeline) -> Pipeline:
    return make_pipeline(budget=ErrorBudget(share=0.1))


@pytest.fixture
def filegate(platform: Platform, pipeline: Pipeline) -> Filegate:
    return Filegate(platform, pipeline)


@pytest.fixture
def sent(pipeline: Pipeline) -> tuple[int, int]:
    """The ids of a file that was loaded and of one that was refused, with rows refused in both."""
    good = pipeline.sample("good.csv", 500, bad=[Bad(BadKind.BAD_DATE, 2)]).path.read_bytes()
    bad = pipeline.sample("bad.csv", 50, bad=[Bad(BadKind.BAD_DATE, 20)], seed=2).path.read_bytes()
    entries = [pipeline.send("good.csv", good), pipeline.send("bad.csv", bad)]
    assert [entry["status"] for entry in entries] == ["archived", "validation_failed"]
    return entries[0]["file_id"], entries[1]["file_id"]


def test_files_lists_the_newest_first_and_failed_ones_alone(
    filegate: Filegate, pipeline: Pipeline, sent: tuple[int, int]
) -> None:
    dataset = pipeline.contract.dataset
    found = filegate.json("files", "--dataset", dataset)
    assert [(row["id"], row["status"]) for row in found] == [(sent[1], "validation_failed"), (sent[0], "archived")]
    assert (found[1]["read"], found[1]["loaded"], found[1]["rejected"]) == (500, 498, 2)
    assert [row["id"] for row in filegate.json("files", "--dataset", dataset, "--failed")] == [sent[1]]


def test_files_of_a_known_dataset_may_be_none(filegate: Filegate, pipeline: Pipeline) -> None:
    """It has no contract in the folder of the command, as one whose contract was deleted; the ledger knows it."""
    dataset = pipeline.contract.dataset
    pipeline.send("good.csv", pipeline.sample("good.csv", 5).path.read_bytes())
    assert len(filegate.json("files", "--dataset", dataset)) == 1
    done = filegate("files", "--dataset", dataset, "--failed")
    assert (done.returncode, done.stdout) == (0, f"no files of {dataset}\n")
    done = filegate("reprocess", "--dataset", dataset)
    assert (done.returncode, done.stdout) == (0, "nothing in quarantine matches; nothing was moved\n")
    assert filegate.json("reprocess", "--dataset", dataset, "--dry-run") == []


@pytest.mark.parametrize("command", [("files",), ("files", "--json"), ("reprocess",), ("reprocess", "--dry-run")])
def test_unknown_dataset_ends_with_1_and_the_nearest(
    filegate: Filegate, pipeline: Pipeline, sent: tuple[int, int], command: tuple[str, ...]
) -> None:
    dataset = pipeline.contract.dataset
    for mistyped, meant in (("inventroy", "inventory"), (f"{dataset}x", dataset)):
        done = filegate(*command, "--dataset", mistyped)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"error: there is no contract for, and the ledger has no file of, '{mistyped}'; ")
        assert f"did you mean {meant}" in done.stderr
        assert done.stderr.count("\n") == 1


def test_tables_fit_a_terminal_of_80_columns(filegate: Filegate, pipeline: Pipeline) -> None:
    dataset, name = pipeline.contract.dataset, "sales-of-the-shop-in-the-long-street_" * 5 + ".csv"
    entry = pipeline.send(name, pipeline.sample("bad.csv", 50, bad=[Bad(BadKind.BAD_DATE, 20)]).path.read_bytes())
    tables = {
        ("files", "--dataset", dataset): "ID",
        ("datasets",): "DATASET",
        ("errors", entry["file_id"]): "SOURCE",
        ("reprocess", "--dataset", dataset, "--dry-run"): "FILE ID",
        ("generate", "--list-bad"): "KIND",
    }
    for arguments, heading in tables.items():
        lines = filegate.on_terminal(*arguments)
        begin = next(number for number, line in enumerate(lines) if line.startswith(heading))
        table = lines[begin : lines.index("", begin) if "" in lines[begin:] else None]
        assert len(table) > 2
        assert max(map(len, table)) <= 80, arguments
        assert not any("…" in line for line in table), "cut off"
        if "files" in arguments:
            cells = [line[start:end].strip() for start, end in spans(lines[begin]) for line in table[1:]]
            assert f"incoming/{dataset}/{name}" in "".join(cells), "a long name is folded"


def spans(heading: str) -> list[tuple[int, int | None]]:
    """Begin and end of each column of a table, by the words of its heading."""
    begins = [match.start() for match in re.finditer(r"(?<!\S)\S", heading)]
    return list(zip(begins, [*begins[1:], None], strict=True))


def test_files_is_plain_text_in_a_pipe(filegate: Filegate, pipeline: Pipeline, sent: tuple[int, int]) -> None:
    shown = filegate("files", "--dataset", pipeline.contract.dataset).stdout
    assert "\x1b" not in shown
    assert "incoming/" in shown
    assert "error-budget-exceeded" in shown


def test_show_and_errors_explain_a_refused_file(filegate: Filegate, sent: tuple[int, int]) -> None:
    shown = filegate("show", sent[1])
    assert shown.returncode == 0
    assert "validation_failed" in shown.stdout
    assert "bad-date 20" in shown.stdout
    assert "failed/validation_failed/" in shown.stdout, "where it is now"
    refusal = filegate.json("errors", sent[1])
    assert (refusal["status"], refusal["error_code"]) == ("validation_failed", "error-budget-exceeded")
    assert len(refusal["rows"]) == 20
    assert {row["code"] for row in refusal["rows"]} == {"bad-date"}
    assert all(row["source_line"] and row["column_name"] and row["message"] for row in refusal["rows"])
    assert "error-budget-exceeded" in filegate("errors", sent[1]).stdout


@pytest.mark.parametrize("command", ["show", "errors"])
def test_show_and_errors_say_what_to_do_about_each_code(
    filegate: Filegate, sent: tuple[int, int], command: str
) -> None:
    shown = filegate(command, sent[1]).stdout
    assert "What to do:\n  bad-date: Send ISO 8601, or add formats.\n" in shown
    assert shown.count("Correct the refused rows") == 1, "the message of the file ends with its remedy"
    assert set(filegate.json(command, sent[1])["what_to_do"]) == {"error-budget-exceeded", "bad-date"}


@pytest.mark.parametrize("command", ["show", "errors"])
def test_unknown_file_ends_with_1_and_the_next_step(filegate: Filegate, command: str) -> None:
    done = filegate(command, 10**9)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the ledger has no file 1000000000; see: filegate files" in done.stderr


def test_reprocess_without_a_choice_names_the_choices_and_moves_nothing(
    filegate: Filegate, pipeline: Pipeline, sent: tuple[int, int]
) -> None:
    done = filegate("reprocess")
    assert done.returncode == 2
    assert f"{pipeline.contract.dataset} 1" in done.stderr
    assert pipeline.keys("incoming/") == []


def test_reprocess_moves_the_chosen_file_and_a_dry_run_moves_none(
    filegate: Filegate, pipeline: Pipeline, sent: tuple[int, int]
) -> None:
    listed = filegate("reprocess", "--dataset", pipeline.contract.dataset, "--dry-run")
    assert listed.returncode == 0
    assert str(sent[1]) in listed.stdout
    assert pipeline.keys("incoming/") == []

    listed = filegate.json("reprocess", "--file", sent[1], "--dry-run")
    assert [(row["file_id"], row["error_code"]) for row in listed] == [(sent[1], "error-budget-exceeded")]
    wrong = filegate("reprocess", "--file", sent[1], "--json")
    assert (wrong.returncode, wrong.stderr) == (2, "error: --json is for --dry-run\n")
    assert pipeline.keys("incoming/") == []

    refused = filegate("reprocess", "--file", sent[0])
    assert refused.returncode == 1
    assert f"not in quarantine: {sent[0]}" in refused.stderr

    done = filegate("reprocess", "--file", sent[1])
    assert done.returncode == 0, done.stderr
    assert "1 of 1 files moved" in done.stdout
    assert [key.rsplit("/", 1)[-1] for key in pipeline.keys("incoming/")] == ["bad.csv"]


def test_datasets_counts_files_and_rows(filegate: Filegate, pipeline: Pipeline, sent: tuple[int, int]) -> None:
    found = {row["dataset"]: row for row in filegate.json("datasets")}
    row = found[pipeline.contract.dataset]
    assert (row["contract"], row["files"], row["rows"], row["failed"]) == ("none", 1, 498, 1)
    assert found["sales"]["contract"].endswith("active")


def test_datasets_counts_the_files_of_a_draft_that_wait_in_incoming(filegate: Filegate, pipeline: Pipeline) -> None:
    filegate.write_contract(status="draft")
    name = pipeline.contract.dataset
    for at in range(2):
        pipeline.put(f"{at}.csv", b"id\n1\n")
    with pipeline.stores() as stores:
        run = AirflowRun("sweep_test", "run-1")
        catalog = Catalog({}, (), {name: replace(pipeline.contract, status=ContractStatus.DRAFT)})
        sweep(lambda: catalog, stores, run, pipeline.settings)
    row = next(one for one in filegate.json("datasets") if one["dataset"] == name)
    assert (row["contract"], row["files"], row["waiting"], row["incoming"]) == ("1.0.0 draft", 0, 0, 2)


def test_warehouse_that_does_not_answer_is_one_line(filegate: Filegate) -> None:
    filegate.environment |= {"WAREHOUSE_PORT": "1"}
    done = filegate("files")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_reprocess_of_a_dataset_without_quarantined_files_moves_none_of_another(
    filegate: Filegate, pipeline: Pipeline, sent: tuple[int, int]
) -> None:
    for arguments in (("--dataset", "inventory"), ("--dataset", pipeline.contract.dataset, "--stage", "load")):
        done = filegate("reprocess", *arguments)
        assert done.returncode == 0, done.stderr
        assert "nothing in quarantine matches" in done.stdout
    named = filegate("reprocess", "--dataset", pipeline.contract.dataset, "--name", "january*")
    assert "nothing in quarantine matches" in named.stdout
    assert pipeline.keys("incoming/") == []
    assert filegate("reprocess", "--dataset", pipeline.contract.dataset, "--stage", "validate").returncode == 0
    assert len(pipeline.keys("incoming/")) == 1


def test_nothing_chosen_is_nothing(pipeline: Pipeline, sent: tuple[int, int]) -> None:
    with pipeline.stores() as stores:
        done = requeue(Selection(file_ids=()), pipeline.bucket, stores.objects, stores.connection, set())
    assert done == Requeued((), ())


def test_control_characters_of_a_name_reach_no_terminal(filegate: Filegate, pipeline: Pipeline) -> None:
    entry = pipeline.send("a\x1b[31m.csv", b"no,header,of,ours\n1,2,3,4\n")
    for arguments in (("show", entry["file_id"]), ("errors", entry["file_id"]), ("files", "--limit", 5)):
        done = filegate(*arguments)
        assert done.returncode == 0
        assert "\x1b" not in done.stdout


def test_shell_with_the_exported_addresses_still_gets_the_keys(platform: Platform, pipeline: Pipeline) -> None:
    """`filegate env` exports the reader's login alone; a command asks the platform for what it needs beyond that."""
    own = {"PLATFORM_HOME": str(platform.settings.platform_home)}
    for name in ("postgres_port", "s3_port", "airflow_port"):
        own[name.upper()] = str(getattr(platform.settings, name))
    environment = os.environ | addresses.for_users(platform) | own
    command = [sys.executable, "-m", "include.cli", "files", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), list)

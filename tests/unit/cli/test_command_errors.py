"""How errors end a command: one format, the nearest names, never a traceback."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from include.cli.app import commands
from include.command_errors import INTERRUPTED, error_lines, explained, no_traceback
from include.contracts.problems import ContractError, Problem
from include.errors import Code, CommandError, PermanentError, RetryableError
from include.settings import CONTRACTS_DIR, AlertSettings, TrainingSettings, WarehouseConfig
from include.sources.__main__ import EXAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Ended
    from pydantic_settings import BaseSettings

pytestmark = pytest.mark.unit

# Arguments with which each command gets as far as its settings. Of `dev`, none reads a setting of the pipelines.
ARGUMENTS = {
    "cat": ("incoming/sales/x.csv",),
    "contract": ("check",),
    "drop": ("sales.csv",),
    "errors": ("1",),
    "feast": ("materialize",),
    "features": ("build",),
    "generate": ("sales", "--out", "x.csv"),
    "lake": ("sql", "SELECT 1"),
    "logs": ("postgres",),
    "produce": ("--topic", "sales", "--rows", "1"),
    "reload": ("sales",),
    "remove": ("sales",),
    "replay-dlq": ("--topic", "sales"),
    "reprocess": ("--dataset", "sales"),
    "restore": ("backup",),
    "run": ("check_quality",),
    "schema": ("show", "sales"),
    "show": ("1",),
    "source": ("check", "shop_orders.yaml"),
    "try": ("sales.csv",),
}
NAMES = [command.name for command in commands() if command.name != "dev"]
MORE = {
    "contract activate": ("contract", "activate", "sales"),
    "contract describe": ("contract", "describe", "sales"),
    "contract diff": ("contract", "diff", "sales"),
    "contract draft": ("contract", "draft", "sales.csv"),
    "schema check": ("schema", "check", "sales"),
}
EVERY = {name: (name, *ARGUMENTS.get(name, ())) for name in NAMES} | MORE
READ_CONTRACTS = {
    "check", "contract", *MORE, "datasets", "drop", "generate", "produce", "reload", "remove", "reprocess", "schema",
    "try",
}  # fmt: skip
READ_LEDGER = (
    "files",
    "show",
    "errors",
    "reprocess",
    "reload",
    "remove",
    "datasets",
    "contract diff",
    "sources",
    "check",
)
ARGUMENTS_OF_LEDGER = {"remove": ("remove", "gone")}  # a dataset with an active contract is refused before


@pytest.fixture(autouse=True)
def _sample(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("sale_id\n1\n")
    (tmp_path / "shop_orders.yaml").write_text(EXAMPLE)


@pytest.mark.parametrize("arguments", EVERY.values(), ids=list(EVERY))
def test_wrong_setting_of_the_platform_is_one_line(
    filegate: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("S3_PORT", "ninety")
    monkeypatch.setenv("INGEST_MAX_ATTEMPTS", "ninety")
    ended = filegate(*arguments)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.count("\n") == 1
    assert ended.err.startswith(
        ("error: a setting cannot be used: S3_PORT=ninety: ", "error: a setting cannot be used: INGEST_MAX_ATTEMPTS=")
    )
    assert ended.err.endswith("correct it in the environment or in .env\n")


@pytest.mark.parametrize("name", sorted(READ_CONTRACTS))
def test_wrong_setting_of_the_pipelines_is_named_where_the_environment_names_the_stores(
    filegate: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As in containers, where no platform is asked."""
    for role in ("INGEST", "READER", "OWNER", "TRANSFORM"):
        monkeypatch.setenv(f"WAREHOUSE_{role}_PASSWORD", "secret")
    monkeypatch.setenv("WAREHOUSE_PORT", "1")
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("INGEST_MAX_ATTEMPTS", "0")
    ended = filegate(*EVERY[name])
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "error: a setting cannot be used: INGEST_MAX_ATTEMPTS=0: Input should be greater than or equal to 1: "
        "correct it in the environment or in .env\n"
    )


@pytest.mark.parametrize("name", READ_LEDGER)
def test_warehouse_that_does_not_answer_is_named_with_what_to_do(
    filegate: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for variable in ("WAREHOUSE_INGEST_PASSWORD", "WAREHOUSE_OWNER_PASSWORD", "WAREHOUSE_TRANSFORM_PASSWORD"):
        monkeypatch.setenv(variable, "secret")
    monkeypatch.setenv("WAREHOUSE_PORT", "1")
    ended = filegate(*ARGUMENTS_OF_LEDGER.get(name, EVERY[name]))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.count("\n") == 1
    assert "warehouse-unavailable: The warehouse does not answer." in ended.err
    assert "(database=warehouse, host=127.0.0.1, port=1, reason=nothing listens there). Remedy: " in ended.err
    assert "connection to server" not in ended.err


UNKNOWN = {
    "generate": ("generate", "slaes"),
    "schema": ("schema", "show", "slaes"),
    "contract describe": ("contract", "describe", "slaes"),
    "contract activate": ("contract", "activate", "slaes"),
    "contract diff": ("contract", "diff", "slaes"),
    "produce a dataset": ("produce", "--topic", "x", "--dataset", "slaes", "--rows", "1"),
    "produce to a topic": ("produce", "--topic", "slaes", "--rows", "1"),
    "reload": ("reload", "slaes"),
    "check": ("check", "--asset", "slaes"),
    "try": ("try", "sales.csv", "--dataset", "slaes"),
    "drop": ("drop", "sales.csv", "--dataset", "slaes"),
}


@pytest.mark.parametrize("arguments", UNKNOWN.values(), ids=list(UNKNOWN))
def test_unknown_name_ends_with_1_and_the_nearest(
    filegate: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    needed = ("WAREHOUSE_INGEST_PASSWORD", "WAREHOUSE_READER_PASSWORD", "WAREHOUSE_TRANSFORM_PASSWORD")
    for variable in (*needed, "KAFKA_BOOTSTRAP"):
        monkeypatch.setenv(variable, "secret")
    ended = filegate(*arguments)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert "did you mean sales?" in ended.err


FROM_ENV = {
    "contract check": ("contract", "check"),
    "contract describe": ("contract", "describe", "own_sales"),
    "contract activate": ("contract", "activate", "own_sales"),
    "schema": ("schema", "show", "own_sales"),
    "generate": ("generate", "own_sales", "--rows", "1", "--out", "x.csv"),
}


@pytest.mark.parametrize("is_exported", [False, True], ids=["nothing exported", "addresses exported"])
@pytest.mark.parametrize("arguments", FROM_ENV.values(), ids=list(FROM_ENV))
def test_contracts_are_those_that_env_file_names(
    filegate: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: tuple[str, ...],
    is_exported: bool,
) -> None:
    (tmp_path / "own").mkdir()
    text = (
        (CONTRACTS_DIR / "sales.yaml").read_text(encoding="utf-8").replace("  - name: sales\n", "  - name: own_sales\n")
    )
    (tmp_path / "own" / "own_sales.yaml").write_text(text)
    (tmp_path / ".env").write_text(f"INGEST_CONTRACTS_DIR={tmp_path / 'own'}\n")
    monkeypatch.delenv("INGEST_CONTRACTS_DIR", raising=False)
    if is_exported:
        monkeypatch.setenv("WAREHOUSE_READER_PASSWORD", "secret")
    ended = filegate(*arguments)
    assert ended.code == 0, ended.err
    if arguments[1] == "check":
        assert str(tmp_path / "own" / "own_sales.yaml") in ended.out

    shutil.copytree(CONTRACTS_DIR, tmp_path / "others")
    monkeypatch.setenv("INGEST_CONTRACTS_DIR", "others")
    ended = filegate(*arguments)
    assert "own_sales.yaml" not in ended.out, "the environment comes first"
    if arguments[1] == "check":
        assert "others/sales.yaml" in ended.out, "relative to the folder of the shell"


def lines(error: Exception) -> str:
    return "\n".join(error_lines(error))


def test_contract_has_a_line_for_each_problem(tmp_path: Path) -> None:
    error = ContractError.of(tmp_path / "sales.yaml", [Problem("id", "is missing", "add it"), Problem("", "a", "b")])
    assert lines(error) == (
        f"error: contract: contract-invalid: sales.yaml has 2 problems ({tmp_path}/sales.yaml)\n"
        "  - id: is missing. Remedy: add it.\n"
        "  - a. Remedy: b."
    )


@pytest.mark.parametrize(
    ("error", "text"),
    [
        pytest.param(CommandError("no such file"), "error: no such file", id="no remedy"),
        pytest.param(
            CommandError("it fails", "do that", ("log\x1b[31m",)),
            "  log\\x1b[31m\nerror: it fails: do that",
            id="lines of a log",
        ),
        pytest.param(
            RetryableError(Code.DISK_FULL).with_stage("load"),
            "error: load: disk-full: The warehouse's disk is full. Remedy: "
            "Make room (docs/retention.md#when-the-disk-is-full).",
            id="the work itself",
        ),
        pytest.param(
            PermanentError(Code.UNREADABLE_FILE, "Do a\nor b."), "error: unreadable-file: Do a\\nor b.", id="data"
        ),
        pytest.param(OSError(2, "No such file", "/x"), "error: No such file: /x", id="system"),
        pytest.param(BrokenPipeError(), "", id="the reader has ended"),
        pytest.param(KeyError("x"), "", id="a defect"),
    ],
)  # fmt: skip
def test_error_is_what_where_and_what_to_do(error: Exception, text: str) -> None:
    assert lines(error) == text


def test_setting_that_two_models_hold_has_the_name_of_its_variable() -> None:
    with pytest.raises(ValidationError) as caught:
        WarehouseConfig(host="h", port=0, database="d", user="u", password=SecretStr("x"))
    assert lines(caught.value).startswith("error: a setting cannot be used: WAREHOUSE_PORT=0: ")


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (AlertSettings, {"notifier_kwargs": "https://hooks.example/S3CRET"}),
        (TrainingSettings, {"model_signing_key": ["S3CRET"]}),
    ],
)
def test_value_of_a_secret_setting_is_not_shown(model: type[BaseSettings], values: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(values)
    assert "=***: " in lines(caught.value)
    assert "S3CRET" not in lines(caught.value)


def test_setting_that_is_no_json_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERTS_NOTIFIER_KWARGS", "S3CRET")
    with pytest.raises(SettingsError) as caught:
        AlertSettings()
    assert "notifier_kwargs" in lines(caught.value)
    assert "S3CRET" not in lines(caught.value)


def test_defect_is_one_line_with_its_source_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, no_traceback():
        raise KeyError("x")
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith(
        "error: a defect of FileGate: KeyError: 'x' at tests/unit/cli/test_command_errors.py:"
    )


def test_defect_has_its_traceback_in_development_mode() -> None:
    code = "from include.command_errors import no_traceback\nwith no_traceback(): raise KeyError('x')"
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_interruption_has_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, explained():
        raise KeyboardInterrupt
    assert (end.value.code, capsys.readouterr().err) == (INTERRUPTED, "interrupted\n")

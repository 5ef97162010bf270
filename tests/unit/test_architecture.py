"""The project's rules about imports, names and sizes of modules, checked in the source code."""

import ast
import re
import subprocess
import sys
from collections import Counter
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from include.errors import Code
from include.ingestion.attempt import Attempt
from include.ml.model_file import MODEL

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PACKAGES = ("include", "dags", "plugins", "local", "ml_api", "metabase", "deploy", "proof")
MODULES = sorted(path for folder in PACKAGES for path in (ROOT / folder).rglob("*.py"))
# What each package may import of the project. Add a new package here with its allowed imports.
MAY_IMPORT = {
    "include.settings": {"include.settings_base"},
    "include.settings_base": set(),
    "include.errors": {"include.errors"},
    "include.command_errors": {"include.errors", "include.settings_base"},
    "include.contracts": {"include.contracts", "include.command_errors", "include.errors", "include.settings"},
    "include.stores": {"include.stores", "include.errors", "include.settings"},
    "include.samples": {"include.samples", "include.contracts", "include.stores", "include.errors", "include.settings"},
    "include.ingestion": {
        "include.ingestion", "include.contracts", "include.stores", "include.errors", "include.settings"
    },
    "include.streams": {
        "include.streams", "include.ingestion", "include.contracts", "include.stores", "include.command_errors",
        "include.errors", "include.settings",
    },
    "include.sources": {
        "include.sources", "include.streams", "include.ingestion", "include.contracts", "include.stores",
        "include.errors", "include.settings",
    },
    "include.lake": {
        "include.lake", "include.contracts", "include.stores", "include.errors", "include.settings"
    },
    "include.alerts": {"include.alerts", "include.errors", "include.settings"},
    "include.ml": {
        "include.ml", "include.feature_store", "include.features", "include.stores", "include.errors",
        "include.settings",
    },
    "include.feature_store": {
        "include.feature_store", "include.features", "include.stores", "include.errors", "include.settings"
    },
    "include.features": {
        "include.features", "include.contracts", "include.stores", "include.errors", "include.settings"
    },
    "include.quality": {
        "include.quality", "include.contracts", "include.stores", "include.errors", "include.settings"
    },
    "include.orchestration": {
        "include.orchestration", "include.ingestion", "include.streams", "include.sources", "include.ml",
        "include.alerts", "include.quality", "include.lake", "include.features", "include.feature_store",
        "include.contracts", "include.stores", "include.errors", "include.settings",
    },
    "include.cli": {
        "include.cli", "include.ingestion", "include.streams", "include.sources", "include.samples", "include.quality",
        "include.lake", "include.features", "include.feature_store",
        "include.contracts", "include.stores", "include.command_errors", "include.errors", "include.settings",
    },
    "dags": {"include.orchestration", "include.settings"},
    "plugins": {"include.ingestion"},
    "ml_api": {"ml_api", "include.ml"},  # of include.ml only what its image contains: see test_ml_api_packaging
    "metabase": {"metabase", "include.command_errors", "include.stores", "include.errors", "include.settings",
                 "include.settings_base"},
    "deploy": {"deploy", "include.command_errors", "include.contracts", "include.errors", "include.settings",
               "include.stores", "local"},
    "local": {"local", "include.cli", "include.command_errors", "include.contracts", "include.errors",
              "include.feature_store", "include.lake", "include.ml", "include.orchestration", "include.samples",
              "include.settings", "include.settings_base", "include.stores", "metabase", "ml_api"},
    "proof": {"proof", "include.cli", "include.contracts", "include.errors", "include.ingestion", "include.samples",
              "include.settings", "include.sources", "include.stores", "include.streams", "local", "tests"},
}  # fmt: skip


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def package_of(dotted: str) -> str:
    """The package of a module: `include.stores` of `include.stores.warehouse`, `dags` of `dags.anything`."""
    parts = dotted.split(".")
    return ".".join(parts[:2]) if parts[0] == "include" else parts[0]


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at any level, as absolute dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{named(path)}: relative import"
            assert node.module is not None
            found |= {f"include.{alias.name}" for alias in node.names} if node.module == "include" else {node.module}
    return found


def own_packages(path: Path) -> set[str]:
    own = {*PACKAGES, "tests"}
    return {package_of(module) for module in imports(path) if module.split(".")[0] in own}


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_module_imports_only_what_its_package_may(path: Path) -> None:
    package = package_of(dotted(path))
    if path == ROOT / "include" / "__init__.py":
        assert own_packages(path) == set()
        return
    assert package in MAY_IMPORT, f"{package} is a new package: add it to MAY_IMPORT"
    assert own_packages(path) <= MAY_IMPORT[package]


@pytest.mark.parametrize("path", [path for path in MODULES if path.is_relative_to(ROOT / "include")], ids=named)
def test_only_orchestration_imports_airflow(path: Path) -> None:
    uses_airflow = any(module.split(".")[0] == "airflow" for module in imports(path))
    assert not uses_airflow or path.is_relative_to(ROOT / "include" / "orchestration")


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_module_is_short_and_has_a_docstring(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) < 400
    assert path.stem not in {"utils", "helpers", "common", "misc"}
    assert not re.search(r"_?v\d+$", path.stem)
    assert not source.strip() or ast.get_docstring(ast.parse(source)), "no docstring"


def test_public_class_of_the_library_has_a_name_of_its_own() -> None:
    made = Counter(
        node.name
        for path in (ROOT / "include").rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in made.items() if count > 1] == []


def test_attempt_holds_what_every_stage_needs_and_knows_no_stage() -> None:
    assert Attempt.__dataclass_params__.frozen
    assert all(one.default is one.default_factory is MISSING for one in fields(Attempt)), "an optional field"
    stages = {f"include.ingestion.{name}" for name in ("pipeline", "claim", "validate", "process", "load", "settle")}
    assert imports(ROOT / "include" / "ingestion" / "attempt.py") & stages == set()


@pytest.mark.parametrize("name", ["ledger", "records", "settle"])
def test_ingestion_has_no_record_that_serves_messages_only(name: str) -> None:
    tree = ast.parse((ROOT / "include" / "ingestion" / f"{name}.py").read_text())
    made = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assert [one for one in made if re.search("messages|topic|offset|partition", one, re.IGNORECASE)] == []


def test_model_name_is_written_once() -> None:
    found = [
        named(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(rf"\b{MODEL}$", node.value)
    ]
    assert found == ["include/ml/model_file.py"]


# Codes


def code_uses() -> str:
    folders = ("include", "dags", "local")
    return "\n".join(
        path.read_text()
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if not {"errors", "samples"} & set(path.relative_to(ROOT).parts)
    ) + "\n".join(path.read_text() for path in (ROOT / "sql").rglob("*.sql"))


DOCUMENTED = (ROOT / "docs" / "reason-codes.md").read_text()


@pytest.mark.parametrize("code", Code)
def test_code_is_used_and_documented(code: Code) -> None:
    row = next((line for line in DOCUMENTED.splitlines() if line.startswith("|") and f"`{code}`" in line), "")
    assert row, "not in docs/reason-codes.md"
    uses = re.findall(rf"Code\.{code.name}\b|'{code.value}'", code_uses())
    assert uses, "not used"


def test_documented_codes_exist() -> None:
    first_cells = [line.split("|")[1] for line in DOCUMENTED.splitlines() if line.startswith("| `")]
    codes = {name for cell in first_cells for name in re.findall(r"`([a-z-]+)`", cell)}
    assert codes - set(Code) == set()


# Cost of parsing a DAG file in a worker

HEAVY = {"duckdb", "great_expectations", "open_data_contract_standard", "mlflow", "sklearn", "pandas"}


def test_parsing_the_ingest_dags_for_a_task_imports_nothing_heavy(tmp_path: Path) -> None:
    """As in a worker: the contracts are compiled in another process."""
    script = (
        "import sys\n"
        "from include.orchestration import catalog, ingest\n"
        "contract = catalog.read_catalog(catalog.ingest_settings().contracts_dir)\n"
        "ingest.ingest_dag(contract.contracts['sales'])\n"
        "print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(ROOT),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/x.db",
    }  # fmt: skip
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert set(answer.stdout.split()) & HEAVY == set()


# Up to Python 3.11.4, which Debian 12 has, a possessive group also takes what its last, failed repetition has passed
# (python/cpython#106052): "1." then matches as a number. A possessive character or set is right in all versions.
POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+")


@pytest.mark.parametrize("expression", ['")*+"', 'rb"(?:a|b)?+"', '"(?:ab)++"', '"(?:ab){1,3}+"'])
def test_possessive_groups_are_found(expression: str) -> None:
    assert POSSESSIVE_GROUP.search(expression)
    assert not POSSESSIVE_GROUP.search(r"[^a]*+(?:b[0-9]{1,3}+)*x++")


def test_no_expression_has_a_possessive_group() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str | bytes)
        and POSSESSIVE_GROUP.search(node.value if isinstance(node.value, str) else node.value.decode("latin-1"))
    ]
    assert found == []

"""No dataset or topic has a name that the platform uses itself."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from include.contracts.ingestion_options import _TOPIC
from include.contracts.problems import ContractError
from include.contracts.reader import DATASET_NAME, compile_contract
from include.contracts.reserved import EVERY, RESERVED_DATASETS, UNKNOWN
from include.ingestion.upkeep import sweep
from tests.unit.contracts.test_contract_hostile import document

pytestmark = pytest.mark.unit

DAGS = Path(__file__).parents[3] / "dags"
# The files whose DAGs are named after datasets, topics and sources.
GENERATED = {"ingest_datasets.py": "ingest_", "consume_topics.py": "consume_", "collect_sources.py": "collect_"}


def decorated(path: Path) -> list[str]:
    """The ids of the DAGs that a file defines: the functions with the decorator `@dag`."""

    def is_dag(decorator: ast.expr) -> bool:
        name = decorator.func if isinstance(decorator, ast.Call) else decorator
        return isinstance(name, ast.Name) and name.id == "dag"

    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    return [function.name for function in functions if any(map(is_dag, function.decorator_list))]


def own_dag_ids() -> set[str]:
    return {dag_id for path in DAGS.glob("*.py") for dag_id in decorated(path)}


def test_dag_files_are_read_as_expected() -> None:
    assert {"check_quality", "sweep_unmatched", "transform_warehouse"} <= own_dag_ids()
    assert not any("dag_id=" in path.read_text() for path in DAGS.glob("*.py")), "an id that is no function's name"


def test_datasets_whose_dag_id_is_taken_and_words_of_commands_are_reserved() -> None:
    taken = {dag_id.removeprefix("ingest_") for dag_id in own_dag_ids() if dag_id.startswith("ingest_")}
    assert {name for name in taken if DATASET_NAME.fullmatch(name)} | {UNKNOWN, EVERY} == set(RESERVED_DATASETS)


def test_no_topic_has_a_dag_id_that_is_taken() -> None:
    """The reader would have to reserve topics too."""
    taken = {dag_id.removeprefix("consume_") for dag_id in own_dag_ids() if dag_id.startswith("consume_")}
    assert not {name for name in taken if _TOPIC.fullmatch(name)}


@pytest.mark.parametrize(("file", "prefix"), GENERATED.items(), ids=list(GENERATED))
def test_no_generated_dag_replaces_a_name_of_its_dag_file(file: str, prefix: str) -> None:
    """Each DAG is a global variable under its id: a dataset `dag` would be the function `ingest_dag`."""
    tree = ast.parse((DAGS / file).read_text())
    imported = [
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    assigned = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    assert not [name for name in imported + assigned if re.match(prefix, name)]


@pytest.mark.parametrize("name", RESERVED_DATASETS)
def test_reserved_name_is_refused_with_a_remedy(name: str) -> None:
    content = yaml.safe_load(document())
    content["schema"][0]["name"] = name
    with pytest.raises(ContractError) as caught:
        compile_contract(Path(f"{name}.yaml"), yaml.safe_dump(content).encode())
    (problem,) = caught.value.problems
    assert problem.path == "schema[0].name"
    assert f"'{name}' is reserved" in problem.what
    assert f"{name}_data" in problem.remedy


def test_sweep_uses_the_reserved_name() -> None:
    assert sweep.UNKNOWN is UNKNOWN

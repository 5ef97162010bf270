"""Problems of the DAGs of a running platform: import errors, and datasets whose DAG is missing.

What belongs here: comparing Airflow's DAGs with the contracts. What does not: printing (`__main__`), calls.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from include.contracts.catalog import read_catalog
from include.contracts.problems import ContractError

if TYPE_CHECKING:
    from pathlib import Path

    from include.contracts.model import Contract
    from local.airflow_api import AirflowApi

_EXCEPTION = re.compile(r"^[\w.]+(?:Error|Exception|Interrupt|Timeout)\b")
_MOST_LINES = 30


def dag_problems(api: AirflowApi, contracts: Path, uptime: float, patience: float) -> list[str]:
    """List the problems; empty when every contract has its DAGs and no DAG file has an import error.

    Args:
        api: of the running Airflow.
        contracts: the directory of the contracts.
        uptime: seconds since Airflow was started.
        patience: seconds after the start, or after saving a contract, in which a DAG may be missing.
    """
    found = contract_problems(contracts)
    errors = api.import_errors()
    found += [f"import error in {error['filename']}: {_reason(str(error['stack_trace']))}" for error in errors]
    if uptime > patience and not any("no such directory" in problem for problem in found):
        present = {str(dag["dag_id"]) for dag in api.dags()}
        for contract in read_catalog(contracts).contracts.values():
            missing = [dag_id for dag_id in dag_ids(contract) if dag_id not in present]
            if missing and time.time() - contract.path.stat().st_mtime > patience:
                found.append(f"{contract.dataset} has a contract, and no DAG {', '.join(missing)}")
    return found


def contract_problems(contracts: Path) -> list[str]:
    """List the reasons why no file can be loaded at all."""
    try:
        catalog = read_catalog(contracts)
    except ContractError as error:
        return [str(error)]
    return [f"no contract in {contracts}: nothing is loaded, no file is touched"] if catalog.is_empty else []


def dag_ids(contract: Contract) -> list[str]:
    """Return the ids of the DAGs that a contract creates."""
    return [f"ingest_{contract.dataset}", *([f"consume_{contract.topic}"] if contract.topic else [])]


def _reason(stack_trace: str) -> str:
    """Return the last exception of a stack trace with its message, without the lines of code."""
    lines = stack_trace.strip().splitlines()
    begins = [number for number, line in enumerate(lines) if _EXCEPTION.match(line)]
    shown = lines[begins[-1] if begins else -1 :]
    return "\n".join(shown[:_MOST_LINES] + (["..."] if len(shown) > _MOST_LINES else []))

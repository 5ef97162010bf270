"""Drafts a contract from a sample file, and proves it: the sample loads with it.

What belongs here: drafting, trying, and drafting again where a row is refused. What does not: what is guessed
(`sample`), the text (`contract_text`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb

from include.contracts.problems import ContractError, Problem
from include.contracts.reader import DATASET_NAME, compile_contract
from include.contracts.reserved import RESERVED_DATASETS
from include.contracts.types import ColumnType
from include.errors import Code, PermanentError
from include.ingestion.drafting.contract_text import Budget, contract_text
from include.ingestion.drafting.sample import profile_sample
from include.ingestion.drafting.structure import Guess
from include.ingestion.records import FileRefusedError
from include.ingestion.trial.dry_run import dry_run

if TYPE_CHECKING:
    from include.contracts.model import Contract
    from include.ingestion.drafting.sample import Profile
    from include.ingestion.trial.dry_run import Trial
    from include.settings import IngestSettings

_MOST_TRIES = 6
_OTHERS = "the archive has other files, too, which are passed over"
_SHOWN = 40  # characters of a value
_MOST_SHARE = 0.5  # of rows that may be refused: with more the guesses are wrong


def draft_contract(sample: Path, dataset: str, settings: IngestSettings, name: str = "", *, member: str = "") -> str:
    """The YAML of a contract with which the sample loads.

    Args:
        sample: the file.
        dataset: the name of the dataset.
        settings: the limits for reading.
        name: that of the file, if the path has another.
        member: the pattern of the archive's members that are such files, if it has others, too.

    Raises:
        ContractError: the dataset's name is not allowed.
        FileRefusedError: the sample cannot be read.
        RetryableError: the disk is full.
        PermanentError: a defect of the pipeline or its engine.
        OSError: the sample cannot be opened.
    """
    _check_name(sample, dataset)
    try:
        profile = profile_sample(sample, settings)
        if member:
            profile = replace(profile, structure=profile.structure.with_guesses(member=Guess(member, _OTHERS)))
    except duckdb.Error as error:
        raise PermanentError(Code.INTERNAL, error=type(error).__name__) from error
    drafted = _Drafted(sample, name or sample.name, dataset, profile)
    for _ in range(_MOST_TRIES):
        text = drafted.text
        better = drafted.tried(drafted.contract(text), settings)
        if better == drafted:
            return text
        drafted = better
    raise FileRefusedError.for_code(
        Code.ERROR_BUDGET_EXCEEDED, rejected=drafted.budget.rows, read=drafted.profile.rows, budget="none", example=""
    )


def _check_name(sample: Path, dataset: str) -> None:
    if DATASET_NAME.fullmatch(dataset) is None:
        remedy = "use lower-case letters, digits and _, starting with a letter, at most 50 characters"
        raise ContractError.of(sample, [Problem("NAME", f"'{dataset}' is no dataset name", remedy)])
    if dataset in RESERVED_DATASETS:
        what = f"the name '{dataset}' is reserved: {RESERVED_DATASETS[dataset]}"
        raise ContractError.of(sample, [Problem("NAME", what, f"choose another name, such as {dataset}_data")])


@dataclass(frozen=True)
class _Drafted:
    """A draft that is being tried."""

    sample: Path
    name: str
    dataset: str
    profile: Profile
    budget: Budget = field(default_factory=Budget)

    @property
    def text(self) -> str:
        return contract_text(self.dataset, self.name, self.profile, self.budget)

    def contract(self, text: str) -> Contract:
        """The compiled contract.

        Raises:
            ContractError: the draft is no sound contract.
        """
        with TemporaryDirectory(prefix="filegate-draft-") as folder:
            return compile_contract(Path(folder) / f"{self.dataset}.yaml", text.encode())

    def tried(self, contract: Contract, settings: IngestSettings) -> _Drafted:
        """The same draft if the sample loads with it; else one whose columns and budget fit.

        Raises:
            FileRefusedError: the file as a whole does not load.
        """
        with dry_run(self.sample, contract, settings) as (trial, _):
            refusal = trial.refusal
            if refusal is None and trial.rejects.rows == self.budget.rows:
                return self
            if refusal is not None and refusal.code is not Code.ERROR_BUDGET_EXCEEDED:
                raise refusal
            return self._fitting(trial, contract)

    def _fitting(self, trial: Trial, contract: Contract) -> _Drafted:
        """A draft in which columns with refused values are text; what is refused as text too, is in the budget."""
        reasons = {
            one.column: f"text, as {one.code} refuses values such as {(one.value or one.raw)[:_SHOWN]!r}"
            for one in reversed(trial.rejects.first)
            if one.column is not None
            and not contract.by_name[one.column].type.is_text
            and one.code not in self.profile.refused_as_text
        }
        if reasons:
            columns = tuple(
                replace(one, type=ColumnType.TEXT, formats=(), notes=(*one.notes, reasons[one.name]))
                if one.name in reasons
                else one
                for one in self.profile.columns
            )
            return replace(self, profile=replace(self.profile, columns=columns))
        rows, read = trial.rejects.rows, trial.rows_read or 0
        if rows > read * _MOST_SHARE and trial.refusal is not None:
            raise trial.refusal
        first = trial.rejects.first[0] if trial.rejects.first else None
        return replace(self, budget=Budget(rows, read, f"{first.message} [{first.code}]" if first else ""))

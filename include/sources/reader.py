"""Reads `sources/<name>.yaml`, or lists all its problems.

What belongs here: the order of the steps, and the definitions of a folder. What does not: the keys (`definition`), the
words of their faults (`faults`), and the rules over several keys (`rules`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from include.contracts.catalog import Catalog, UnknownDatasetError, read_catalog
from include.contracts.content import read_plain_file
from include.contracts.problems import (
    ContractError,
    FileProblemsError,
    Findings,
    Problem,
    UnusableFileError,
    summary,
)
from include.contracts.safe_yaml import read_mapping
from include.errors import Code
from include.settings import ingest_settings
from include.sources.elements import text_of
from include.sources.faults import add_faults
from include.sources.kinds import AnySource, model_of
from include.sources.rules import check_against_contract, check_definition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from include.contracts.model import Contract

    # Returns the contract of a dataset. Raises ContractError or UnknownDatasetError.
    FindContract = Callable[[str], Contract]


# Keys of a request whose values are sent.
_SENT = ("params", "forEach")


class SourceError(FileProblemsError):
    """The definition of a source cannot be used."""

    stage = "source"

    @classmethod
    def of(cls, file: Path, problems: Iterable[Problem]) -> SourceError:
        """Build the error for `file`."""
        found = tuple(problems)
        return cls(Code.SOURCE_INVALID, summary(file, found), file=file, problems=found)


@dataclass(frozen=True)
class SourceCatalog:
    """The sound definitions by name, and the errors of the others."""

    sources: dict[str, AnySource]
    broken: tuple[SourceError, ...] = ()


def read_sources(folder: Path, find_contract: FindContract | None = None, *, only: str = "") -> SourceCatalog:
    """Read every definition of a folder. A broken one is listed in `broken` and affects no other.

    Args:
        folder: of the YAML files; folders below it are not searched. One that does not exist has no definition.
        find_contract: finds the contract of a dataset; by default in the folder of the settings.
        only: the name of the one definition that the caller needs.

    Raises:
        OSError: the folder cannot be read.
    """
    find = find_contract or find_in_settings()
    sources: dict[str, AnySource] = {}
    broken = []
    for path in definition_files(folder):
        if only and path.stem != only:
            continue
        try:
            source = read_source(path, find)
        except SourceError as error:
            broken.append(error)
            continue
        if source.name in sources:  # of a .yaml and a .yml
            problem = Problem("name", f"another file describes '{source.name}' too", "remove one of the two")
            broken.append(SourceError.of(path, [problem]))
            continue
        sources[source.name] = source
    return SourceCatalog(sources, tuple(broken))


def definition_files(folder: Path) -> list[Path]:
    """The YAML files of a folder, sorted; none if there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in {".yaml", ".yml"} and path.name[0] != ".")


def read_source(path: Path, find_contract: FindContract | None = None) -> AnySource:
    """Read a definition.

    Args:
        path: the YAML file; its stem is the source's name.
        find_contract: see `read_sources`.

    Raises:
        SourceError: the file is unusable; names every problem with its place and remedy.
    """
    findings = Findings()
    try:
        content = read_plain_file(path, "a definition describes one source; split it")
        remedy = "start from the example in docs/sources.md"
        document = read_mapping(content, remedy)
        _keep_texts(document, read_mapping(content, remedy, as_texts=True))
    except UnusableFileError as error:
        raise SourceError.of(path, [error.problem]) from error
    try:
        # Keys are written in camelCase only: the names of the fields are no second spelling.
        source = model_of(document).model_validate(document, by_alias=True, by_name=False)
    except ValidationError as error:
        add_faults(error, document, findings)
        raise SourceError.of(path, findings.problems) from error
    if source.name != path.stem:
        remedy = f"rename the file to {source.name}{path.suffix}, or the source to {path.stem}"
        findings.add("name", f"'{source.name}' differs from the file's name", remedy)
    check_definition(source, findings)
    contract = _contract_of(source, find_contract or find_in_settings(), findings)
    if contract is not None:
        check_against_contract(source, contract, findings)
    if findings.problems:
        raise SourceError.of(path, findings.problems)
    return source


def _keep_texts(document: dict[str, Any], texts: Mapping[str, Any]) -> None:
    """Give values that are sent the text that they have in the file, where YAML makes another one of it.

    Args:
        document: the definition, which is changed.
        texts: the same with all scalars as texts.
    """
    requests = document.get("requests")
    for index, request in enumerate(requests if isinstance(requests, list) else []):
        if isinstance(request, dict):
            own = texts["requests"][index]
            request.update({name: _as_written(request[name], own[name]) for name in _SENT if name in request})
    incremental, name = document.get("incremental"), "initialValue"
    if isinstance(incremental, dict) and name in incremental:
        incremental[name] = _as_written(incremental[name], texts["incremental"][name])


def _as_written(value: Any, text: Any) -> Any:
    """A value with the text of each number that would be sent otherwise: 1.10 as 1.1, 1e3 as 1000.0, True as true."""
    if isinstance(value, dict):
        return {name: _as_written(one, text[name]) if isinstance(name, str) else one for name, one in value.items()}
    if isinstance(value, list):
        return [_as_written(*pair) for pair in zip(value, text, strict=True)]
    return text if isinstance(value, bool | int | float) and text_of(value) != text else value


def _contract_of(source: AnySource, find_contract: FindContract, findings: Findings) -> Contract | None:
    try:
        return find_contract(source.dataset)
    except UnknownDatasetError as error:
        command = "source draft" if source.kind == "database" else "contract draft"
        findings.add("dataset", error.message, f"correct the name, or write the contract: `filegate {command}`")
    except ContractError as error:
        what = f"the contract cannot be used: {error.message}"
        findings.add("dataset", what, "correct it: `filegate contract check`")
    return None


def find_in_settings() -> FindContract:
    """A search in the contracts of the settings, which are read when the first one is searched for."""

    @cache
    def contracts() -> Catalog:
        return read_catalog(ingest_settings().contracts_dir)

    return lambda dataset: contracts().find(dataset)

"""Reads `features/*.yaml`, or lists all problems of a file.

What belongs here: the order of the steps and the rules over several keys. What does not: the keys (`definition`), the
words of their faults (`faults`), and SQL (`compiler`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from include.contracts.content import read_plain_file
from include.contracts.problems import FileProblemsError, Findings, Problem, UnusableFileError, nearest, summary
from include.contracts.safe_yaml import read_mapping
from include.errors import Code
from include.features.compiler import HISTORY, FeatureView, in_order
from include.features.definition import NAME, FeatureFile, FeatureStep, SharedFile
from include.features.faults import add_feature_faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_Model = TypeVar("_Model", bound=BaseModel)

SHARED = "shared"
# The other columns of a view's table.
TIMES = ("event_timestamp", "created_timestamp")
_COMMENT = re.compile(r"--[^\n]*")
# A table that is named with its schema has rows later than T.
_SCHEMA = re.compile(
    r"\b(?:raw|ops|load|staging|analytics|features|public|pg_catalog|information_schema)\"?\s*\.", re.IGNORECASE
)
# The same T must give the same row at any time.
_UNSTABLE = re.compile(
    r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|current_(?:date|time|timestamp)|"
    r"localtime(?:stamp)?|random\w*|gen_random_uuid|setseed|nextval)\b",
    re.IGNORECASE,
)


class FeatureError(FileProblemsError):
    """A definition of features cannot be used."""

    stage = "features"

    @classmethod
    def of(cls, file: Path, problems: Iterable[Problem]) -> FeatureError:
        """Build the error for `file`."""
        found = tuple(problems)
        return cls(Code.FEATURES_INVALID, summary(file, found), file=file, problems=found)


@dataclass(frozen=True)
class FeatureCatalog:
    """The sound views by name, and the errors of the others."""

    views: dict[str, FeatureView]
    broken: tuple[FeatureError, ...] = ()


def read_features(folder: Path) -> FeatureCatalog:
    """Read every view of a folder. A broken one is listed in `broken` and affects no other.

    Args:
        folder: of `shared.yaml` and a file for each view. Without `shared.yaml` it has no view.

    Raises:
        FeatureError: `shared.yaml` cannot be used.
    """
    paths = sorted(path for path in folder.glob("*.yaml") if path.name[0] != ".")
    if folder / f"{SHARED}.yaml" not in paths:
        return FeatureCatalog({})
    shared = read_shared(folder / f"{SHARED}.yaml")
    views, broken = {}, []
    for path in paths:
        if path.stem == SHARED:
            continue
        try:
            views[path.stem] = read_view(path, shared)
        except FeatureError as error:
            broken.append(error)
    return FeatureCatalog(views, tuple(broken))


def read_shared(path: Path) -> SharedFile:
    """Read `shared.yaml`.

    Raises:
        FeatureError: it is unusable; names every problem with its place and remedy.
    """
    shared = _read(path, SharedFile)
    findings = Findings()
    _check_steps(shared.steps, _names(shared), findings)
    if findings.problems:
        raise FeatureError.of(path, findings.problems)
    return shared


def read_view(path: Path, shared: SharedFile) -> FeatureView:
    """Read the definition of a view.

    Args:
        path: the YAML file; its stem is the view's name.
        shared: the datasets and steps that it may read.

    Raises:
        FeatureError: the file is unusable; names every problem with its place and remedy.
    """
    file = _read(path, FeatureFile)
    findings = Findings()
    if file.view != path.stem:
        remedy = f"rename the file to {file.view}.yaml, or the view to {path.stem}"
        findings.add("view", f"'{file.view}' differs from the file's name", remedy)
    known = _names(shared) | {step.name for step in shared.steps}
    _check_steps(file.steps, known, findings)
    known |= {step.name for step in file.steps}
    _check_reads("rows.reads", file.rows.reads, known, findings)
    _check_sql("rows.sql", file.rows.sql, findings)
    _check_features(file, findings)
    if findings.problems:
        raise FeatureError.of(path, findings.problems)
    steps = in_order({step.name: step for step in (*shared.steps, *file.steps)})
    return FeatureView(file, shared.datasets, steps)


def _read(path: Path, model: type[_Model]) -> _Model:
    findings = Findings()
    try:
        content = read_plain_file(path, "a file describes one view; split it")
        document = read_mapping(content, "start from a file that the project ships, such as features/teams.yaml")
    except UnusableFileError as error:
        raise FeatureError.of(path, [error.problem]) from error
    try:
        # Keys are written in camelCase only: the names of the fields are no second spelling.
        return model.model_validate(document, by_alias=True, by_name=False)
    except ValidationError as error:
        add_feature_faults(error, model, document, findings)
        raise FeatureError.of(path, findings.problems) from error


def _names(shared: SharedFile) -> set[str]:
    """What steps may read besides steps."""
    histories = {name + HISTORY for name, dataset in shared.datasets.items() if dataset.kind == "history"}
    return {*shared.datasets, *histories}


def _check_steps(steps: tuple[FeatureStep, ...], known: set[str], findings: Findings) -> None:
    own = {step.name for step in steps}
    seen = set(known)
    for index, step in enumerate(steps):
        path = f"steps[{index}]"
        if step.name in seen:
            findings.add(f"{path}.name", f"'{step.name}' exists already", "give the step a name of its own")
        seen.add(step.name)
        _check_reads(f"{path}.reads", step.reads, known | own, findings)
        _check_sql(f"{path}.sql", step.sql, findings)
    inside = {step.name: step.model_copy(update={"reads": tuple(own & set(step.reads))}) for step in steps}
    try:
        in_order(inside)
    except ValueError as error:
        findings.add("steps", f"'{error}' and a step that it reads read each other", "let one of them read datasets")


def _check_reads(path: str, reads: tuple[str, ...], known: set[str], findings: Findings) -> None:
    for index, name in enumerate(reads):
        if name not in known:
            findings.add(f"{path}[{index}]", f"there is no dataset or step '{name}'", nearest(name, known))


def _check_sql(path: str, sql: str, findings: Findings) -> None:
    sql = _COMMENT.sub("", sql)
    if found := _SCHEMA.search(sql):
        remedy = "read a dataset by its name alone, for instance tasks: its rows are those that are known at T"
        findings.add(path, f"a table is named with its schema ({found[0].strip()})", remedy)
    if found := _UNSTABLE.search(sql):
        findings.add(path, f"{found[0]} changes from run to run", "use :T, the time of the features")
    if ";" in sql:
        findings.add(path, "there is a ;", "write one query or expression")


def _check_features(file: FeatureFile, findings: Findings) -> None:
    taken: Mapping[str, str] = {file.join_key: "the join key"} | dict.fromkeys(TIMES, "a column of every view")
    seen = dict(taken)
    for index, template in enumerate(file.features):
        path = f"features[{index}]"
        _check_sql(f"{path}.sql", template.sql, findings)
        for feature in template.expanded():
            if not re.fullmatch(NAME, feature.name):
                remedy = "use lower-case letters, digits, _ and the name of forEach in braces"
                findings.add(f"{path}.name", f"'{feature.name}' is not allowed here", remedy)
            if feature.name in seen:
                findings.add(f"{path}.name", f"'{feature.name}' is {seen[feature.name]}", "choose another name")
            seen[feature.name] = "another feature"
        if template.is_number:
            continue
        if template.normalize != "none":
            findings.add(f"{path}.normalize", "a text cannot be normalised", "write normalize: none")
        if template.missing not in ("keep", "drop"):
            findings.add(f"{path}.missing", "a text has no such value", "write missing: keep, or drop")

"""Problems of a contract or another YAML file of a user: what is wrong, where, and the remedy.

What belongs here: the record of one problem, the list that collects problems, the error with all problems, and the
parts of a broken contract that could be read.
What does not: the rules that find problems.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.errors import Code, PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Problem:
    """One problem. `path` is its position in the file, as in `schema[0].properties[3].logicalType`."""

    path: str
    what: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}{self.what}. Remedy: {self.remedy}."


@dataclass(frozen=True)
class Remains:
    """What could be read of a broken contract about its files.

    Attributes:
        file_patterns: the valid ones; None if that part of the contract cannot be read.
        dataset: the name of its dataset, which may differ from the file's.
        is_draft: whether its status is that of a draft.
    """

    file_patterns: tuple[str, ...] | None = None
    dataset: str | None = None
    is_draft: bool = False

    def as_json(self) -> dict[str, Any]:
        """The values as JSON's types."""
        return asdict(self)

    @classmethod
    def of_json(cls, values: object) -> Remains:
        """Read the values of `as_json`; empty if they are no mapping.

        Raises:
            TypeError: the values are damaged.
        """
        if not isinstance(values, dict):
            return cls()
        found = cls(**values)
        return cls(None if found.file_patterns is None else tuple(found.file_patterns), found.dataset, found.is_draft)


class UnusableFileError(Exception):
    """Nothing of a file can be read. The reader of its kind turns it into a FileProblemsError."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem)


class FileProblemsError(PermanentError):
    """A file of a user cannot be used. It has every problem of the file, so that all can be fixed at once."""

    @property
    def file(self) -> Path:
        """The file."""
        file = self.details.get("file")
        return file if isinstance(file, Path) else Path()

    @property
    def stem(self) -> str:
        """The file's name without its suffix, with bytes that are not UTF-8 as escapes."""
        return self.file.stem.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem found, in the order of the file."""
        problems = self.details.get("problems")
        return problems if isinstance(problems, tuple) else ()

    def __str__(self) -> str:
        lines = [f"{self.stage}: {self.code}: {self.message} ({self.file})"]
        return "\n".join(lines + [f"  - {problem}" for problem in self.problems])


class ContractError(FileProblemsError):
    """A contract file cannot be used."""

    stage = "contract"

    @classmethod
    def of(cls, file: Path, problems: Iterable[Problem], remains: Remains | None = None) -> ContractError:
        """Build the error for `file`; `remains` is what could be read of it."""
        found = tuple(problems)
        return cls(Code.CONTRACT_INVALID, summary(file, found), file=file, problems=found, remains=remains)

    @property
    def dataset(self) -> str:
        """The dataset that waits for the contract: the file's name."""
        return self.stem

    @property
    def remains(self) -> Remains:
        """What could be read of the contract."""
        remains = self.details.get("remains")
        return remains if isinstance(remains, Remains) else Remains()


def summary(file: Path, problems: Sequence[Problem]) -> str:
    """The message of the error for a file: its name, and how many problems it has."""
    return f"{file.name} has {'1 problem' if len(problems) == 1 else f'{len(problems)} problems'}"


@dataclass
class Findings:
    """Collects problems while a file is read."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, path: str, what: str, remedy: str) -> None:
        """Add a problem, unless the same one was added before."""
        problem = Problem(path, what, remedy)
        if problem not in self.problems:
            self.problems.append(problem)

    def unknown_keys(self, path: str, given: Iterable[str], known: Iterable[str]) -> None:
        """Add a problem for every key that is not `known`, with the nearest known one."""
        names = list(known)
        for key in given:
            if key not in names:
                self.add(f"{path}.{key}" if path else key, "unknown key", nearest(key, names))


def nearest(word: object, known: Iterable[str]) -> str:
    """A remedy that names the known word nearest to a mistyped one, or all of them when none is near."""
    names = sorted(set(known))
    by_folded = {name.lower(): name for name in names}
    close = get_close_matches(str(word).lower(), list(by_folded), n=1, cutoff=0.7)
    if close:
        return f"write '{by_folded[close[0]]}', or remove it"
    return f"use one of {', '.join(names)}" if len(names) <= 16 else "remove it; the standard has no such key here"


def shown(value: object) -> str:
    """A value of a file as JSON writes it, cut after 80 characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."

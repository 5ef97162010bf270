"""Generates the history that the stand-in for GitHub serves: two invented repositories like real ones.

What belongs here: authors, messages and times of commits. What does not: the API's format (`github_records`). Authors,
texts and hashes are invented; the distribution is that of real repositories: a few authors make most commits, in
working hours and rarely on weekends, branches of a few commits are merged by maintainers, some are squashed, bots bump
versions, bodies are rare.

The history extends some years into the future, and the stand-in serves the commits up to now: so there are new commits
every day.

`python -m local.services.stand_ins.github_history` writes the recording; a test compares the shipped file with it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDING = Path(__file__).with_name("github_history.ndjson.gz")
BEGIN, END = datetime(2026, 1, 5, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)

_VERBS = (
    "Add",
    "Refuse",
    "Fix",
    "Speed up",
    "Explain",
    "Remove",
    "Rename",
    "Test",
    "Simplify",
    "Log",
    "Guard",
    "Cache",
)
_SUBJECTS = (
    "the parser of dates", "empty files", "the retry of uploads", "rounding of totals", "the settings page",
    "time zones in reports", "the export to Parquet", "duplicate keys", "the health check", "slow queries",
    "the command line", "names with spaces", "the pool of connections", "the nightly job", "error messages",
    "old migrations", "the search index", "the price list", "quotes in headers", "the login form",
)  # fmt: skip
_REASONS = (
    "It was wrong for months that have five Sundays.", "The log did not show what had happened.",
    "The old code read every file twice.", "A partner sends them without a header since last week.",
    "Measured on the large file: two thirds of the time were spent here.", "This keeps the order of the rows.",
    "The test fails without the change.", "See the discussion in the issue.",
)  # fmt: skip
_LIBRARIES = ("webframe", "fastjson", "tabular", "clockwork", "wiremock-lite", "lintwise")
_NAMES = (
    "Amina Okafor", "Bram de Wit", "Chiara Rossi", "Daniel Novak", "Elif Kaya", "Farid Haddad", "Greta Lindqvist",
    "Hiro Tanaka", "Ines Duarte", "Jonas Weber", "Kofi Mensah", "Lena Fischer", "Mateo Silva", "Nadia Petrova",
    "Omar Farouk", "Priya Nair", "Quentin Roux", "Rosa Jimenez", "Sven Dahl", "Tuan Pham", "Uma Rao", "Viktor Ivanov",
    "Wanda Kowalska", "Xin Li", "Yara Cohen", "Zoe Martin",
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """An author. `login` is None if the mail address belongs to no account; `start` is the first working hour, UTC."""

    name: str
    email: str
    login: str | None
    start: int


@dataclass(frozen=True)
class Commit:
    """One commit of the recording. Times are ISO 8601 in UTC, whole seconds."""

    repository: str
    sha: str
    author: str
    email: str
    login: str | None
    committer: str
    authored_at: str
    committed_at: str
    message: str
    parents: tuple[str, ...]
    comments: int
    verified: bool
    number: int | None = None


@dataclass(frozen=True)
class _Plan:
    """The parameters of a repository: branches begun per working day, number of authors, seed of the random numbers."""

    repository: str
    branches_a_day: float
    authors: int
    seed: int


PLANS = (_Plan("harbour/ledger", 1.6, 22, 11), _Plan("harbour/beacon", 0.45, 9, 12))
_BOT = Person("bumpbot[bot]", "49699333+bumpbot[bot]@users.noreply.example.com", "bumpbot[bot]", 4)


def commits(plan: _Plan) -> list[Commit]:
    """Generate the whole history of a repository, oldest first by the committer's time."""
    return _Writer(plan).write()


@dataclass(frozen=True)
class _Change:
    """A commit before it has a hash. `number` is that of its pull request; GitHub signs what is merged there."""

    author: Person
    moment: datetime
    message: str
    parents: int
    number: int | None = None
    signed: bool = False


class _Writer:
    """Draws branches day by day, and adds their commits to the main branch when they are merged."""

    def __init__(self, plan: _Plan) -> None:
        self._plan, self._random = plan, Random(plan.seed)  # noqa: S311 - a history, not a secret
        self._authors = self._draw_authors()
        self._weights = [1 / (rank + 1) ** 1.1 for rank in range(len(self._authors))]
        self._maintainers = self._authors[:3]
        self._number = 0
        self._drafts: list[Commit] = []

    def write(self) -> list[Commit]:
        day = BEGIN
        while day < END:
            share = 1.0 if day.weekday() < 5 else 0.2
            for _ in range(self._count(self._plan.branches_a_day * share)):
                self._branch(day)
            if self._random.random() < 0.25 * share:
                self._direct(day)
            day += timedelta(days=1)
        return self._linked(sorted(self._drafts, key=lambda commit: (commit.committed_at, commit.message)))

    def _draw_authors(self) -> list[Person]:
        owner = self._plan.repository.split("/", maxsplit=1)[0]
        authors = []
        for name in self._random.sample(_NAMES, self._plan.authors):
            handle = name.lower().replace(" ", ".")
            kind = self._random.choices(["company", "mail", "hidden"], [5, 3, 2])[0]
            domain = {"company": f"{owner}.example", "mail": "mail.example", "hidden": "users.noreply.example.com"}[
                kind
            ]
            login = None if self._random.random() < 0.1 else handle.replace(".", "-")
            authors.append(Person(name, f"{handle}@{domain}", login, self._random.choice([6, 7, 8, 13, 14])))
        return authors

    def _count(self, mean: float) -> int:
        whole = int(mean)
        return whole + (self._random.random() < mean - whole)

    def _moment(self, day: datetime, person: Person) -> datetime:
        hour = (
            self._random.gauss(person.start + 4, 2.4) if self._random.random() < 0.85 else self._random.uniform(0, 24)
        )
        return day + timedelta(seconds=int(hour * 3600) % 86400)

    def _branch(self, day: datetime) -> None:
        """Add one to seven commits of one author, then a merge, a squash, or a bot's fast-forward."""
        bot = self._random.random() < 0.08
        author = _BOT if bot else self._random.choices(self._authors, self._weights)[0]
        subject = self._bump() if bot else self._subject()
        self._number += 1
        number, moment = self._number, self._moment(day, author)
        size = 1 if bot else min(7, 1 + int(self._random.expovariate(0.7)))
        squashed = self._random.random() < 0.25
        for step in range(0 if squashed else size):
            text = subject if step == 0 else self._subject()
            self._commit(_Change(author, moment, self._message(text), 1, number=number))
            moment += timedelta(minutes=self._random.randint(4, 200))
            if step == 2 and self._random.random() < 0.4:
                self._commit(
                    _Change(author, moment, f"Merge branch 'main' into {_branch_name(subject)}", 2, number=number)
                )
        merger = self._random.choice(self._maintainers)
        merged_at = self._moment(moment + timedelta(days=self._random.choice([0, 0, 1, 1, 2, 4])), merger)
        merged_at = max(merged_at, moment + timedelta(minutes=10))
        if squashed:
            self._commit(
                _Change(author, merged_at, f"{self._message(subject)} (#{number})", 1, number=number, signed=True)
            )
        else:
            owner = (author.login or "ghost").removesuffix("[bot]")
            text = f"Merge pull request #{number} from {owner}/{_branch_name(subject)}\n\n{subject}"
            self._commit(_Change(merger, merged_at, text, 2, number=number, signed=True))

    def _direct(self, day: datetime) -> None:
        """Add a maintainer's small change without a branch, or sometimes a manually merged release branch."""
        person = self._random.choice(self._maintainers)
        moment = self._moment(day, person)
        if self._random.random() < 0.12:
            self._commit(_Change(person, moment, f"Merge branch 'release-{day:%y.%m}'", 2))
        else:
            self._commit(_Change(person, moment, self._message(self._subject()), 1))

    def _commit(self, change: _Change) -> None:
        author, moment = change.author, change.moment
        late = timedelta(minutes=self._random.randint(1, 2000)) if self._random.random() < 0.12 else timedelta(0)
        comments = self._random.choices([0, 1, 2, 5], [88, 8, 3, 1])[0]
        self._drafts.append(
            Commit(
                repository=self._plan.repository, sha="", author=author.name, email=author.email, login=author.login,
                committer="GitHub" if change.signed else author.name, authored_at=_stamp(moment),
                committed_at=_stamp(moment + late), message=change.message, parents=("",) * change.parents,
                comments=comments, verified=change.signed or self._random.random() < 0.3, number=change.number,
            )
        )  # fmt: skip

    def _subject(self) -> str:
        return f"{self._random.choice(_VERBS)} {self._random.choice(_SUBJECTS)}"

    def _bump(self) -> str:
        minor = self._random.randint(1, 40)
        return f"Bump {self._random.choice(_LIBRARIES)} from 2.{minor}.0 to 2.{minor + 1}.0"

    def _message(self, subject: str) -> str:
        parts = [subject]
        if self._random.random() < 0.35:
            parts.append("\n\n" + " ".join(self._random.sample(_REASONS, self._random.randint(1, 3))))
        if self._random.random() < 0.2 and self._number > 3:
            parts.append(f"\n\nFixes #{self._random.randint(1, self._number)}")
        return "".join(parts)

    def _linked(self, drafts: list[Commit]) -> list[Commit]:
        """Give each commit its hash and its parents: the commit before it, and for a merge also the one before that."""
        done: list[Commit] = []
        for draft in drafts:
            parents = tuple(commit.sha for commit in reversed(done[-len(draft.parents) :]))
            text = json.dumps([draft.repository, parents, draft.authored_at, draft.email, draft.message])
            sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
            done.append(replace(draft, sha=sha, parents=parents))
        return done


def _branch_name(subject: str) -> str:
    return subject.lower().replace(".", "-").replace(" ", "-")


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def lines() -> Iterator[str]:
    """Yield the recording, one commit per line."""
    for plan in PLANS:
        for commit in commits(plan):
            yield json.dumps(asdict(commit), separators=(",", ":")) + "\n"


def read(path: Path = RECORDING) -> dict[str, list[Commit]]:
    """Read the commits of each repository from a recording, oldest first."""
    found: dict[str, list[Commit]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            values = json.loads(line)
            commit = Commit(**{**values, "parents": tuple(values["parents"])})
            found.setdefault(commit.repository, []).append(commit)
    return found


if __name__ == "__main__":
    with RECORDING.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        packed.writelines(line.encode() for line in lines())

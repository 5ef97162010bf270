"""Makes the history that the replay serves: two invented repositories with the rhythm of real ones.

What belongs here: who commits what when. What does not: the API's form of it (`answers`). People, texts and hashes
are made up; what is kept of real repositories is their shape: few do most of the work, work has hours and weekends,
branches of a few commits are merged by maintainers, some are squashed, bots bump versions, bodies are rare.

The history reaches some years ahead, and the replay shows what has happened by now: so there is news every day.

`python -m local.github_api.history` writes the recording anew; a test holds the shipped file against it.
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

RECORDING = Path(__file__).with_name("recording.ndjson.gz")
BEGIN, END = datetime(2026, 1, 5, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)

_VERBS = (
    "Add",
    "Refuse",
    "Mend",
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
_THINGS = (
    "the parser of dates", "empty files", "the retry of uploads", "rounding of totals", "the settings page",
    "time zones in reports", "the export to Parquet", "duplicate keys", "the health check", "slow queries",
    "the command line", "names with spaces", "the pool of connections", "the nightly job", "error messages",
    "old migrations", "the search index", "the price list", "quotes in headers", "the login form",
)  # fmt: skip
_REASONS = (
    "It was wrong for months that have five Sundays.", "Nobody could tell from the log what had happened.",
    "The old way read every file twice.", "A partner sends them without a header since last week.",
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
    """Somebody who commits. `login` is None where the address belongs to no account; `start` their first hour, UTC."""

    name: str
    email: str
    login: str | None
    start: int


@dataclass(frozen=True)
class Commit:
    """One commit as the recording keeps it. Times are ISO 8601 in UTC, whole seconds; the author is one of `people`."""

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
    """What a repository is like: branches begun per working day, how many people, what its shape is drawn from."""

    repository: str
    branches_a_day: float
    people: int
    seed: int


PLANS = (_Plan("harbour/ledger", 1.6, 22, 11), _Plan("harbour/beacon", 0.45, 9, 12))
_BOT = Person("bumpbot[bot]", "49699333+bumpbot[bot]@users.noreply.example.com", "bumpbot[bot]", 4)


def commits(plan: _Plan) -> list[Commit]:
    """A repository's whole history, oldest first by the committer's time."""
    return _Writer(plan).write()


class _Writer:
    """Draws branches day by day, and puts them on the main line when they are merged."""

    def __init__(self, plan: _Plan) -> None:
        self._plan, self._random = plan, Random(plan.seed)  # noqa: S311 - a history, not a secret
        self._people = self._crowd()
        self._weights = [1 / (rank + 1) ** 1.1 for rank in range(len(self._people))]
        self._maintainers = self._people[:3]
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

    def _crowd(self) -> list[Person]:
        owner = self._plan.repository.split("/", maxsplit=1)[0]
        people = []
        for name in self._random.sample(_NAMES, self._plan.people):
            handle = name.lower().replace(" ", ".")
            kind = self._random.choices(["company", "mail", "hidden"], [5, 3, 2])[0]
            domain = {"company": f"{owner}.example", "mail": "mail.example", "hidden": "users.noreply.example.com"}[
                kind
            ]
            login = None if self._random.random() < 0.1 else handle.replace(".", "-")
            people.append(Person(name, f"{handle}@{domain}", login, self._random.choice([6, 7, 8, 13, 14])))
        return people

    def _count(self, mean: float) -> int:
        whole = int(mean)
        return whole + (self._random.random() < mean - whole)

    def _moment(self, day: datetime, person: Person) -> datetime:
        hour = (
            self._random.gauss(person.start + 4, 2.4) if self._random.random() < 0.85 else self._random.uniform(0, 24)
        )
        return day + timedelta(seconds=int(hour * 3600) % 86400)

    def _branch(self, day: datetime) -> None:
        """One to seven commits of one author, then a merge, a squash, or a bot's fast-forward."""
        bot = self._random.random() < 0.08
        author = _BOT if bot else self._random.choices(self._people, self._weights)[0]
        subject = self._bump() if bot else self._subject()
        self._number += 1
        number, moment = self._number, self._moment(day, author)
        size = 1 if bot else min(7, 1 + int(self._random.expovariate(0.7)))
        squashed = self._random.random() < 0.25
        for step in range(0 if squashed else size):
            text = subject if step == 0 else self._subject()
            self._commit(author, moment, self._message(text), 1, number=number)
            moment += timedelta(minutes=self._random.randint(4, 200))
            if step == 2 and self._random.random() < 0.4:
                self._commit(author, moment, f"Merge branch 'main' into {_branch_name(subject)}", 2, number=number)
        merger = self._random.choice(self._maintainers)
        merged_at = self._moment(moment + timedelta(days=self._random.choice([0, 0, 1, 1, 2, 4])), merger)
        merged_at = max(merged_at, moment + timedelta(minutes=10))
        if squashed:
            self._commit(author, merged_at, f"{self._message(subject)} (#{number})", 1, number=number, signed=True)
        else:
            owner = (author.login or "ghost").removesuffix("[bot]")
            text = f"Merge pull request #{number} from {owner}/{_branch_name(subject)}\n\n{subject}"
            self._commit(merger, merged_at, text, 2, number=number, signed=True)

    def _direct(self, day: datetime) -> None:
        """A maintainer's small change without a branch; sometimes a release branch merged by hand."""
        person = self._random.choice(self._maintainers)
        moment = self._moment(day, person)
        if self._random.random() < 0.12:
            self._commit(person, moment, f"Merge branch 'release-{day:%y.%m}'", 2)
        else:
            self._commit(person, moment, self._message(self._subject()), 1)

    def _commit(
        self, author: Person, moment: datetime, message: str, parents: int, *, number: int | None = None,
        signed: bool = False,
    ) -> None:  # fmt: skip
        late = timedelta(minutes=self._random.randint(1, 2000)) if self._random.random() < 0.12 else timedelta(0)
        comments = self._random.choices([0, 1, 2, 5], [88, 8, 3, 1])[0]
        self._drafts.append(
            Commit(
                repository=self._plan.repository, sha="", author=author.name, email=author.email, login=author.login,
                committer="GitHub" if signed else author.name, authored_at=_stamp(moment),
                committed_at=_stamp(moment + late), message=message, parents=("",) * parents, comments=comments,
                verified=signed or self._random.random() < 0.3, number=number,
            )
        )  # fmt: skip

    def _subject(self) -> str:
        return f"{self._random.choice(_VERBS)} {self._random.choice(_THINGS)}"

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
        """Give each commit its name and its parents: the one before, and for a merge the one before that."""
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
    """The recording, a commit a line."""
    for plan in PLANS:
        for commit in commits(plan):
            yield json.dumps(asdict(commit), separators=(",", ":")) + "\n"


def read(path: Path = RECORDING) -> dict[str, list[Commit]]:
    """The commits of each repository in a recording, oldest first."""
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

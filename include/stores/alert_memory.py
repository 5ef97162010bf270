"""What people were told of and when, in ops.alert, and what there is to tell them of.

What belongs here: statements. What does not: the words of a message, and sending it.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.stores.warehouse import Connection, connect, statement, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime, timedelta

    from include.settings import WarehouseConfig

_STAGE = "alerts"
# In seconds. An alert waits for nobody long: the run behind it is what counts.
_LIMITS = {"connect_timeout": 5, "lock_timeout": 5, "statement_timeout": 15}
# For the causes of a thing together.
_WHOLE = ""


@dataclass(frozen=True)
class Subject:
    """What a message is about: a dataset, a topic, a DAG; `kind` tells the messages about one of them apart."""

    kind: str
    about: str


@dataclass(frozen=True)
class QuarantinedFile:
    """A file in quarantine, and which run has put it there."""

    object_key: str
    code: str
    settled_key: str
    dag_id: str
    run_id: str


@dataclass(frozen=True)
class Quarantined:
    """The newest files that were quarantined, the numbers of all by code, and when the last one was."""

    files: tuple[QuarantinedFile, ...]
    by_code: dict[str, int]
    until: datetime


@dataclass(frozen=True)
class Told:
    """What people were told about a subject: until when, and which causes are still fresh.

    `fresh` are those whose message went out, or was given up, so short a while ago that it is not repeated.
    """

    until: datetime | None
    fresh: frozenset[str]
    held_back: int

    def is_news(self, causes: Iterable[str]) -> bool:
        """Whether any of the causes is not fresh."""
        return bool(set(causes) - self.fresh)


@contextmanager
def open_memory(config: WarehouseConfig) -> Iterator[AlertMemory]:
    """The memory over a connection of its own, which waits only seconds for anything.

    Raises:
        RetryableError: the warehouse does not answer.
        PermanentError: it refuses this role.
    """
    with connect(config.model_copy(update=_LIMITS)) as connection, ExitStack() as transactions:
        yield AlertMemory(connection, transactions)


class AlertMemory:
    """Notes of what was told, on one connection."""

    def __init__(self, connection: Connection, transactions: ExitStack) -> None:
        self._connection, self._transactions = connection, transactions

    def begin(self, subject: Subject) -> bool:
        """Take the subject; False if another process has it and sends its alert.

        It is kept in a transaction, which lasts as long as the connection: later notes are kept at its end.
        """
        name = {"name": f"alert:{subject.kind}:{subject.about}"}
        with warehouse_errors(_STAGE):
            self._connection.execute(statement("add_work_lock"), name)
            self._transactions.enter_context(self._connection.transaction())
        return bool(self._rows(statement("try_work_lock"), name))

    def told(self, subject: Subject, quiet_seconds: float, pause_seconds: float) -> Told:
        """What people were told.

        Args:
            subject: of the message.
            quiet_seconds: for so long after a message its causes are fresh.
            pause_seconds: and for so long after one that was given up.
        """
        until, fresh, held_back = None, set(), 0
        values = {"kind": subject.kind, "about": subject.about}
        for cause, told_until, held, told_ago, failed_ago in self._rows(statement("alert_state"), values):
            if cause == _WHOLE:
                until, held_back = told_until, held
            elif _within(told_ago, quiet_seconds) or _within(failed_ago, pause_seconds):
                fresh.add(cause)
        return Told(until, frozenset(fresh), held_back)

    def sent(self, subject: Subject, causes: Iterable[str], until: datetime | None = None, *, counted: int = 0) -> None:
        """Note that a message went out.

        Args:
            subject: of the message.
            causes: of the message.
            until: it tells of all that came until then; until now if that is not said.
            counted: how often there was cause for it by then. What others noted meanwhile stays.
        """
        self._note("note_alert_sent", subject, causes, {"until": until, "counted": counted})

    def held(self, subject: Subject, causes: Iterable[str], since: datetime | None = None, *, failed: bool) -> None:
        """Note that there was cause for a message, and none went out.

        Args:
            subject: of the message.
            causes: of the message.
            since: what came after this has yet to be told of, if nothing was told before.
            failed: it was given up, not held back.
        """
        self._note("note_alert_held", subject, causes, {"since": since, "failed": failed})

    def held_back(self, kind: str) -> list[str]:
        """Of which subjects of this kind people have yet to be told."""
        return [row[0] for row in self._rows(statement("alert_held_back"), {"kind": kind})]

    def quarantined(self, dataset: str, bucket: str, since: datetime, most: int) -> Quarantined | None:
        """The files of a dataset that were quarantined since, and are still there; None if there are none.

        Args:
            dataset: or `unknown`.
            bucket: where they lie.
            since: not included.
            most: so many are listed, the newest first; the numbers are of all.
        """
        values: dict[str, Any] = {"dataset": dataset, "bucket": bucket, "since": since, "most": most}
        codes = self._rows(statement("alert_quarantined_codes"), values)
        if not codes:
            return None
        values["until"] = max(newest for _, _, newest in codes)
        files = self._rows(statement("alert_quarantined_files"), values)
        by_code = {code: count for code, count, _ in codes}
        return Quarantined(tuple(QuarantinedFile(*row) for row in files), by_code, values["until"])

    def waiting(self, dataset: str, waited: timedelta) -> list[tuple[str, int, datetime]]:
        """What files and batches of a dataset have waited for, for so long: code, how many, since when the first."""
        rows = self._rows(statement("alert_waiting"), {"dataset": dataset, "waited": waited})
        return [(code, count, since) for code, count, since in rows]

    def critical_checks(self, since: datetime) -> list[tuple[str, str]]:
        """Critical checks of whole tables that failed since: table and check."""
        rows = self._rows(statement("alert_critical_checks"), {"since": since})
        return [(dataset, f"{name} on {column}" if column else name) for dataset, name, column in rows]

    def _note(self, name: str, subject: Subject, causes: Iterable[str], values: dict[str, Any]) -> None:
        told = {"kind": subject.kind, "about": subject.about, "causes": sorted({_WHOLE, *causes}), **values}
        with warehouse_errors(_STAGE):
            self._connection.execute(statement(name), told)

    def _rows(self, query: bytes, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        with warehouse_errors(_STAGE), self._connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall()


def _within(ago: float | None, seconds: float) -> bool:
    return ago is not None and ago < seconds

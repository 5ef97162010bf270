"""Which notifications were sent and when, in ops.alert, and what the next ones have to report.

What belongs here: SQL statements. What does not: the wording of a message, and sending it.
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

# In seconds. Short, so that an alert does not delay its run.
_LIMITS = {"connect_timeout": 5, "lock_timeout": 5, "statement_timeout": 15}
# The row of all causes of a subject together.
_WHOLE = ""


@dataclass(frozen=True)
class Subject:
    """What a message is about: a dataset, a topic or a DAG; `kind` separates different messages about the same one."""

    kind: str
    about: str


@dataclass(frozen=True)
class QuarantinedFile:
    """A file in quarantine, and the run that quarantined it."""

    object_key: str
    code: str
    settled_key: str
    dag_id: str
    run_id: str


@dataclass(frozen=True)
class Quarantined:
    """The newest quarantined files, the number of all files by code, and the time of the last quarantine."""

    files: tuple[QuarantinedFile, ...]
    by_code: dict[str, int]
    until: datetime


@dataclass(frozen=True)
class NotificationState:
    """What recipients were notified of about a subject.

    Attributes:
        until: everything up to this time was reported; None if no message was sent yet.
        fresh: causes whose message was sent, or failed, so recently that it is not repeated.
        held_back: how often a message was due since the last one and was not sent.
    """

    until: datetime | None
    fresh: frozenset[str]
    held_back: int

    def is_new_cause(self, causes: Iterable[str]) -> bool:
        """Return whether any of the causes is not fresh."""
        return bool(set(causes) - self.fresh)


@contextmanager
def open_memory(config: WarehouseConfig) -> Iterator[AlertMemory]:
    """Open the memory on its own connection, with timeouts of a few seconds.

    Raises:
        RetryableError: the warehouse does not answer.
        PermanentError: it refuses this role.
    """
    with connect(config.model_copy(update=_LIMITS)) as connection, ExitStack() as transactions:
        yield AlertMemory(connection, transactions)


class AlertMemory:
    """Reads and writes the state of notifications, on one connection."""

    def __init__(self, connection: Connection, transactions: ExitStack) -> None:
        self._connection, self._transactions = connection, transactions

    def begin(self, subject: Subject) -> bool:
        """Lock the subject; False if another process holds it and sends its alert.

        The lock is held in a transaction as long as the connection is open; later notes are committed at its end.
        """
        name = {"name": f"alert:{subject.kind}:{subject.about}"}
        with warehouse_errors():
            self._connection.execute(statement("add_work_lock"), name)
            self._transactions.enter_context(self._connection.transaction())
        return bool(self._rows(statement("try_work_lock"), name))

    def notification_state(self, subject: Subject, quiet_seconds: float, pause_seconds: float) -> NotificationState:
        """Return what recipients were notified of.

        Args:
            subject: of the message.
            quiet_seconds: how long the causes of a sent message are fresh.
            pause_seconds: how long the causes of a failed message are fresh.
        """
        until, fresh, held_back = None, set(), 0
        values = {"kind": subject.kind, "about": subject.about}
        for cause, notified_until, held, notified_ago, failed_ago in self._rows(statement("alert_state"), values):
            if cause == _WHOLE:
                until, held_back = notified_until, held
            elif _within(notified_ago, quiet_seconds) or _within(failed_ago, pause_seconds):
                fresh.add(cause)
        return NotificationState(until, frozenset(fresh), held_back)

    def sent(self, subject: Subject, causes: Iterable[str], until: datetime | None = None, *, counted: int = 0) -> None:
        """Store that a message was sent.

        Args:
            subject: of the message.
            causes: of the message.
            until: the message reports everything up to this time; None for now.
            counted: how many held-back messages it includes. Those stored meanwhile by other processes stay.
        """
        self._note("note_alert_sent", subject, causes, {"until": until, "counted": counted})

    def held(self, subject: Subject, causes: Iterable[str], since: datetime | None = None, *, failed: bool) -> None:
        """Store that a message was due and was not sent.

        Args:
            subject: of the message.
            causes: of the message.
            since: start of what the next message reports, if no message was sent before.
            failed: sending failed; otherwise the message was held back.
        """
        self._note("note_alert_held", subject, causes, {"since": since, "failed": failed})

    def held_back(self, kind: str) -> list[str]:
        """Return the subjects of this kind that have held-back messages."""
        return [row[0] for row in self._rows(statement("alert_held_back"), {"kind": kind})]

    def quarantined(self, dataset: str, bucket: str, since: datetime, most: int) -> Quarantined | None:
        """Return the files of a dataset quarantined after `since` and still in quarantine; None if there are none.

        Args:
            dataset: name of the dataset, or `unknown`.
            bucket: of the files.
            since: exclusive.
            most: maximum number of listed files, the newest first; the counts include all files.
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
        """Return what files and batches of a dataset have waited for, at least `waited`: code, count, first time."""
        rows = self._rows(statement("alert_waiting"), {"dataset": dataset, "waited": waited})
        return [(code, count, since) for code, count, since in rows]

    def critical_checks(self, since: datetime) -> list[tuple[str, str]]:
        """Return the critical checks of whole tables that failed after `since`: table and check."""
        rows = self._rows(statement("alert_critical_checks"), {"since": since})
        return [(dataset, f"{name} on {column}" if column else name) for dataset, name, column in rows]

    def _note(self, name: str, subject: Subject, causes: Iterable[str], values: dict[str, Any]) -> None:
        parameters = {"kind": subject.kind, "about": subject.about, "causes": sorted({_WHOLE, *causes}), **values}
        with warehouse_errors():
            self._connection.execute(statement(name), parameters)

    def _rows(self, query: bytes, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        with warehouse_errors(), self._connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall()


def _within(ago: float | None, seconds: float) -> bool:
    return ago is not None and ago < seconds

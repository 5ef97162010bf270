"""A circuit breaker for each service: after many failed attempts in a row no requests are sent for a while.

What belongs here: when an attempt may be sent, and what its outcome means for the next ones. What does not: how a
service is called, or how often.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from threading import Condition, Lock
from typing import TYPE_CHECKING

from include.errors import Code, PermanentError, RetryableError
from include.errors.registry import message
from include.stores.http_response import FailedAttemptError

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

_circuits: dict[str, Circuit] = {}
_circuits_lock = Lock()


class _State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class Circuit:
    """Counts the failed attempts of one service in a row, and refuses attempts while it is open. Thread-safe."""

    def __init__(self, service: str, url: str) -> None:
        self._service, self._url = service, url
        self._max_failures, self._reset = 1, timedelta()
        self._state, self._failures, self._last_reason = _State.CLOSED, 0, ""
        self._opened_at = datetime.now(UTC)
        self._changed = Condition()
        self._trial_running = False

    def set_limits(self, failures: int, reset_seconds: float) -> None:
        """Open after `failures` failed attempts in a row, and let one attempt through after `reset_seconds`."""
        self._max_failures, self._reset = failures, timedelta(seconds=reset_seconds)

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Guard one attempt: a FailedAttemptError is a failure, a PermanentError the answer of a healthy service.

        After `reset_seconds` an open circuit lets one trial through; other attempts wait for its outcome.

        Raises:
            RetryableError: the circuit is open, or this attempt has opened it; the message says until when.
        """
        trial = self._admit()
        try:
            yield
        except FailedAttemptError as failure:
            self._note(failure, trial=trial)
            raise
        except PermanentError:
            self._note(None, trial=trial)
            raise
        else:
            self._note(None, trial=trial)
        finally:
            if trial:
                with self._changed:
                    self._trial_running = False
                    self._changed.notify_all()

    def _admit(self) -> bool:
        """Whether this attempt is the trial whose outcome closes the circuit or opens it again."""
        with self._changed:
            while self._trial_running:
                self._changed.wait()
            if self._state is _State.CLOSED:
                return False
            if self._state is _State.OPEN:
                if datetime.now(UTC) < self._opened_at + self._reset:
                    raise self._refusal()
                self._state = _State.HALF_OPEN
                log.info("circuit half open: one attempt of %s (%s) goes through", self._service, self._url)
            self._trial_running = True
            return True

    def _note(self, failure: FailedAttemptError | None, *, trial: bool) -> None:
        with self._changed:
            if failure:
                self._last_reason = failure.reason
            # The outcome of an attempt that was sent before the circuit opened does not count.
            if trial or self._state is _State.CLOSED:
                self._count(failed=failure is not None, trial=trial)
            if failure and self._state is _State.OPEN:
                raise self._refusal() from failure

    def _count(self, *, failed: bool, trial: bool) -> None:
        self._failures = self._failures + 1 if failed else 0
        if failed and (trial or self._failures >= self._max_failures):
            self._state, self._opened_at = _State.OPEN, datetime.now(UTC)
            log.warning("circuit opened: %s (%s: %s)", self._refusal().message, self._url, self._last_reason)
        elif trial and not failed:
            self._state = _State.CLOSED
            log.info("circuit closed: %s (%s) answers again", self._service, self._url)

    def _refusal(self) -> RetryableError:
        opened = message(
            Code.CIRCUIT_OPEN,
            service=self._service,
            failures=self._failures,
            next_try=self._opened_at + self._reset,
        )
        return RetryableError(Code.CIRCUIT_OPEN, opened, url=self._url, reason=self._last_reason)


def circuit_of(service: str, url: str, failures: int, reset_seconds: float) -> Circuit:
    """This process's circuit for `url`, with these limits from now on."""
    with _circuits_lock:
        circuit = _circuits.setdefault(url, Circuit(service, url))
        circuit.set_limits(failures, reset_seconds)
        return circuit

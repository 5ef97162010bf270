"""A circuit breaker for each service: after many failed tries in a row no requests are sent for a while.

What belongs here: when a try may be sent, and what its outcome means for the next ones. What does not: how a service is
called, or how often. The states are pybreaker's. Its own `call` holds a lock while the guarded call runs, so only one
request could run at a time: so it gets the outcomes of calls and does not make them.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from threading import Condition, Lock
from typing import TYPE_CHECKING, Any

from pybreaker import (
    STATE_CLOSED,
    STATE_HALF_OPEN,
    STATE_OPEN,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerListener,
    CircuitMemoryStorage,
)

from include.errors import Code, PermanentError, RetryableError
from include.errors.registry import message

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

_circuits: dict[str, Circuit] = {}
_circuits_lock = Lock()


class FailedTryError(Exception):
    """A try that failed. Another one may succeed.

    `retry_after` is the pause in seconds that the service asked for.
    """

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.retry_after = reason, retry_after


class Circuit:
    """Counts the failed tries of one service in a row, and refuses tries while it is open. Thread-safe."""

    def __init__(self, service: str, url: str) -> None:
        self._service, self._url = service, url
        self._storage = CircuitMemoryStorage(STATE_CLOSED)
        self._breaker = CircuitBreaker(state_storage=self._storage, listeners=[_Log(self)])
        self._changed = Condition()
        self._trial_running = False
        self._last_reason = ""

    def set_limits(self, failures: int, reset_seconds: float) -> None:
        """Open after `failures` failed tries in a row, and let one try through after `reset_seconds`."""
        self._breaker.fail_max, self._breaker.reset_timeout = failures, reset_seconds

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Guard one try: a FailedTryError counts as a failure, a PermanentError as the answer of a healthy service.

        After `reset_seconds` an open circuit lets one trial through; other tries wait for its outcome.

        Raises:
            RetryableError: the circuit is open, or this try has opened it; the message says until when.
        """
        trial = self._admit()
        try:
            yield
        except FailedTryError as failure:
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
        """Whether this try is the trial whose outcome closes the circuit or opens it again."""
        with self._changed:
            while self._trial_running:
                self._changed.wait()
            if self._breaker.current_state == STATE_CLOSED:
                return False
            if self._breaker.current_state == STATE_OPEN:
                if datetime.now(UTC) < self._next_try():
                    raise self._refusal()
                self._breaker.half_open()
            self._trial_running = True
            return True

    def _note(self, failure: FailedTryError | None, *, trial: bool) -> None:
        with self._changed:
            if failure:
                self._last_reason = failure.reason
            # The outcome of a try that was sent before the circuit opened does not count.
            if trial or self._breaker.current_state == STATE_CLOSED:
                with suppress(FailedTryError, CircuitBreakerError):
                    self._breaker.call(_repeat_outcome, failure)
            if failure and self._breaker.current_state == STATE_OPEN:
                raise self._refusal() from failure

    def _next_try(self) -> datetime:
        return (self._storage.opened_at or datetime.now(UTC)) + timedelta(seconds=self._breaker.reset_timeout)

    def _refusal(self) -> RetryableError:
        opened = message(
            Code.CIRCUIT_OPEN,
            service=self._service,
            failures=self._breaker.fail_counter,
            next_try=self._next_try(),
        )
        return RetryableError(Code.CIRCUIT_OPEN, opened, url=self._url, reason=self._last_reason)

    def say_new_state(self, state: str) -> None:
        """Log that the circuit has changed."""
        if state == STATE_OPEN:
            log.warning("circuit opened: %s (%s: %s)", self._refusal().message, self._url, self._last_reason)
        elif state == STATE_HALF_OPEN:
            log.info("circuit half open: one try of %s (%s) goes through", self._service, self._url)
        else:
            log.info("circuit closed: %s (%s) answers again", self._service, self._url)


class _Log(CircuitBreakerListener):
    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit

    def state_change(self, cb: CircuitBreaker, old_state: Any, new_state: Any) -> None:  # noqa: ARG002
        self._circuit.say_new_state(new_state.name)


def circuit_of(service: str, url: str, failures: int, reset_seconds: float) -> Circuit:
    """This process's circuit for `url`, with these limits from now on."""
    with _circuits_lock:
        circuit = _circuits.setdefault(url, Circuit(service, url))
        circuit.set_limits(failures, reset_seconds)
        return circuit


def _repeat_outcome(failure: FailedTryError | None) -> None:
    if failure:
        raise failure

"""Attempts, refusals and the deadline of sending a message."""

from __future__ import annotations

import logging
import smtplib
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from include.alerts import delivery
from include.alerts.delivery import deliver, is_final
from include.settings import AlertSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

REFUSED = smtplib.SMTPDataError(554, b"no")
BUSY = smtplib.SMTPDataError(451, b"later")


class Channel:
    """Raises these errors first, then accepts the message."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.tries = list(errors), 0

    def __call__(self) -> None:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_FIRST_PAUSE_SECONDS", 0.001)


@pytest.mark.parametrize(
    ("errors", "tries", "sent"),
    [
        pytest.param([], 1, True, id="taken"),
        pytest.param([OSError("away"), BUSY], 3, True, id="taken-in-the-end"),
        pytest.param([OSError("away")] * 3, 3, False, id="away"),
        pytest.param([REFUSED], 1, False, id="refused"),
        pytest.param([BUSY, REFUSED], 2, False, id="busy-then-refused"),
        pytest.param([ValueError("no notifier")] * 3, 3, False, id="broken-notifier"),
    ],
)
def test_attempts_end_with_success_or_a_final_error(errors: list[Exception], tries: int, sent: bool) -> None:
    channel = Channel(*errors)
    assert deliver(channel, AlertSettings(attempts=3)) is sent
    assert channel.tries == tries


def test_errors_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        deliver(Channel(OSError("connection refused"), REFUSED), AlertSettings())
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert "connection refused" in caplog.messages[0]
    assert "554" in caplog.messages[1]


@pytest.fixture
def released() -> Iterator[Event]:
    """Releases a blocked channel at the end of the test."""
    event = Event()
    yield event
    event.set()


def test_blocked_channel_is_given_up(released: Event, caplog: pytest.LogCaptureFixture) -> None:
    """Without the deadline this would block until the timeout of pytest."""
    assert not deliver(released.wait, AlertSettings(deadline_seconds=0.05))
    assert "given up" in caplog.text


def test_no_attempt_follows_after_the_deadline(released: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[Thread] = []
    tries: list[int] = []

    class Noted(Thread):
        def start(self) -> None:
            threads.append(self)
            super().start()

    def send() -> None:
        tries.append(1)
        released.wait()
        raise OSError

    monkeypatch.setattr(delivery, "Thread", Noted)
    assert not deliver(send, AlertSettings(deadline_seconds=0.05))
    released.set()
    threads[0].join(60)
    assert not threads[0].is_alive()
    assert tries == [1]


@pytest.mark.parametrize(
    ("error", "final"),
    [
        pytest.param(smtplib.SMTPAuthenticationError(535, b"wrong"), True, id="password"),
        pytest.param(smtplib.SMTPAuthenticationError(454, b"later"), False, id="authentication-away"),
        pytest.param(smtplib.SMTPRecipientsRefused({"a@b": (550, b"who"), "c@d": (450, b"full")}), False, id="some"),
        pytest.param(smtplib.SMTPRecipientsRefused({"a@b": (550, b"who")}), True, id="all-recipients"),
        pytest.param(smtplib.SMTPServerDisconnected("gone"), False, id="disconnected"),
        pytest.param(TimeoutError(), False, id="timeout"),
    ],
)
def test_final_errors_are_recognised(error: Exception, final: bool) -> None:
    assert is_final(error) is final


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("404 Client Error for url: https://hooks.example/services/T0/canary-8f3a", id="the whole address"),
        pytest.param("Max retries exceeded with url: /services/T0/canary-8f3a (refused)", id="its path alone"),
        pytest.param("x" * 290 + "https://hooks.example/services/T0/canary-8f3a", id="where the text is cut"),
        pytest.param("invalid token: canary-8f3a", id="a token within a text"),
    ],
)
def test_arguments_of_a_notifier_are_not_logged(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """A webhook URL is a secret."""
    given = {"url": "https://hooks.example/services/T0/canary-8f3a", "more": [{"token": "canary-8f3a"}], "level": "url"}
    with caplog.at_level(logging.WARNING):
        assert not deliver(Channel(*[OSError(words)] * 2), AlertSettings(attempts=2, notifier_kwargs=given))
    assert "canary-8f" not in caplog.text
    assert "OSError: " in caplog.text
    assert caplog.text.count("could not be sent") == 1

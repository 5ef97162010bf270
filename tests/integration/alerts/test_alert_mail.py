"""Sending messages to a real mail server: accepted and refused mail, and servers that do not respond."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from alerting_world import smtp
from mail_server import PASSWORD, USER, listening, serving, write_certificate

from local.settings import free_ports

if TYPE_CHECKING:
    from pathlib import Path

    from alerting_world import Tasks
    from mail_server import MailServer

pytestmark = pytest.mark.integration

QUICK = {"ALERTS_ATTEMPTS": "2", "ALERTS_TIMEOUT_SECONDS": "1"}


def test_mail_has_a_text_part_and_an_html_part(mailing: Tasks, mails: MailServer) -> None:
    assert mailing.do("send", name="a.csv")["result"] is True
    [mail] = mails.mails
    assert mail["Subject"] == "[FileGate] sales: 1 file quarantined"
    assert mail["From"] == "FileGate <filegate@example.com>"
    assert mail["To"] == "ops@example.com, owner@example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"]
    assert mails.recipients == [["ops@example.com", "owner@example.com"]]
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    for kind in ("plain", "html"):
        content = mail.get_body((kind,)).get_content()
        assert "a.csv" in content
        assert "Grüße" in content


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("a.csv\r\nBcc: all@example.com", id="header"),
        pytest.param("{{ 7 * 7 }}{% set x = 1 %}{{ conn.warehouse_pg.password }}", id="template"),
        pytest.param("\r\n.\r\nMAIL FROM:<x@example.com>", id="end-of-mail"),
        pytest.param("a\udc80\N{RIGHT-TO-LEFT OVERRIDE}.csv", id="odd-signs"),
    ],
)
def test_hostile_name_changes_nothing_of_the_mail(mailing: Tasks, mails: MailServer, name: str) -> None:
    assert mailing.do("send", name=name)["result"] is True
    [mail] = mails.mails
    assert mails.recipients == [["ops@example.com", "owner@example.com"]]
    assert mail["Bcc"] is None
    harmless = name.split("\r\n", maxsplit=1)[0].split("\udc80", maxsplit=1)[0]
    assert harmless in mail.get_body(("plain",)).get_content()


@pytest.mark.parametrize(
    ("answers", "sent", "tries"),
    [
        pytest.param(["451 later"], True, 2, id="busy-once"),
        pytest.param(["451 later"] * 5, False, 2, id="busy"),
        pytest.param(["554 no"], False, 1, id="refused"),
    ],
)
def test_refused_mail_is_retried_only_if_the_refusal_is_temporary(
    mailing: Tasks, mails: MailServer, answers: list[str], sent: bool, tries: int
) -> None:
    mails.answers += answers
    answer = mailing.do("send", name="a.csv", **QUICK)
    assert (answer["result"], mails.tries, len(mails.mails)) == (sent, tries, int(sent))
    assert answers[0].split()[0] in answer["log"]


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("password", [PASSWORD, "wrong"], ids=["right", "wrong"])
def test_server_that_asks_for_a_password(mailing: Tasks, password: str) -> None:
    with serving(password=True) as server:
        connection = smtp(server.port, login=USER, password=password)
        answer = mailing.do("send", name="a.csv", AIRFLOW_CONN_ALERTS_SMTP=connection)
    right = password == PASSWORD
    assert (answer["result"], len(server.mails)) == (right, int(right))
    assert ("535" in answer["log"]) is not right
    assert password not in answer["log"]


def test_server_without_encryption_gets_no_password_unless_configured(mailing: Tasks, mails: MailServer) -> None:
    connection = smtp(mails.port, login=USER, password=PASSWORD, extra={"disable_ssl": True})
    answer = mailing.do("send", name="a.csv", AIRFLOW_CONN_ALERTS_SMTP=connection, **QUICK)
    assert (answer["result"], mails.mails) == (False, [])
    assert "STARTTLS" in answer["log"]


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "not-trusted"])
def test_mail_is_encrypted_by_default_and_the_certificate_is_verified(
    mailing: Tasks, tmp_path: Path, trusted: bool
) -> None:
    certificate = tmp_path / "server.pem"
    write_certificate(certificate)
    with serving(password=True, certificate=certificate) as server:
        connection = smtp(server.port, login=USER, password=PASSWORD, extra={"disable_ssl": True})
        trust = {"SSL_CERT_FILE": str(certificate)} if trusted else {}
        answer = mailing.do("send", name="a.csv", AIRFLOW_CONN_ALERTS_SMTP=connection, **trust, **QUICK)
    assert (answer["result"], len(server.mails)) == (trusted, int(trusted)), answer["log"]
    assert ("CERTIFICATE_VERIFY_FAILED" in answer["log"]) is not trusted


def test_address_that_the_server_does_not_know_is_named(mailing: Tasks, mails: MailServer) -> None:
    mails.unknown.add("owner@example.com")
    answer = mailing.do("send", name="a.csv")
    assert (answer["result"], mails.recipients) == (True, [["ops@example.com"]])
    assert "refused the alert for owner@example.com: 550" in answer["log"]


def test_server_that_is_away_is_logged(mailing: Tasks) -> None:
    answer = mailing.do("send", name="a.csv", AIRFLOW_CONN_ALERTS_SMTP=smtp(free_ports(1)[0]), **QUICK)
    assert answer["result"] is False
    assert "attempt 1 of 2" in answer["log"]
    assert "could not be sent. ConnectionRefusedError" in answer["log"]


def test_silent_server_times_out(mailing: Tasks) -> None:
    """Also if the connection has a long timeout and retries: with them the test would exceed its time limit."""
    with listening() as port:
        extra = {"disable_ssl": True, "disable_tls": True, "timeout": 3600, "retry_limit": 100}
        connection = smtp(port, extra=extra)
        answer = mailing.do("send", name="a.csv", AIRFLOW_CONN_ALERTS_SMTP=connection, **QUICK)
    assert answer["result"] is False
    assert "could not be sent" in answer["log"]


def test_server_that_sends_single_bytes_is_given_up(mailing: Tasks) -> None:
    """A socket timeout does not end this: each byte arrives before the timeout."""
    with listening(endless=True) as port:
        environment = {"ALERTS_DEADLINE_SECONDS": "1.5", "AIRFLOW_CONN_ALERTS_SMTP": smtp(port)}
        answer = mailing.do("send", name="a.csv", **environment)
    assert answer["result"] is False
    assert "given up" in answer["log"]


def test_another_notifier_gets_the_fields_as_values(mailing: Tasks, mails: MailServer) -> None:
    """Airflow's SMTP notifier, with templates from the settings."""
    kwargs = {
        "to": "chat@example.com", "from_email": "bot@example.com", "smtp_conn_id": "alerts_smtp",
        "subject": "{{ alert.about | upper }}", "html_content": "<pre>{{ alert.text | e }}</pre>{{ alert.causes }}",
    }  # fmt: skip
    answer = mailing.do(
        "send",
        name="{{ 7 * 7 }}",
        ALERTS_TO="",
        ALERTS_NOTIFIER="airflow.providers.smtp.notifications.smtp.SmtpNotifier",
        ALERTS_NOTIFIER_KWARGS=json.dumps(kwargs),
    )
    assert answer["result"] is True
    [mail] = mails.mails
    assert mail["Subject"] == "SALES"
    content = mail.get_body(("html",)).get_content()
    assert "{{ 7 * 7 }}: empty-file" in content
    assert "'empty-file': 1" in content


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        pytest.param({"ALERTS_NOTIFIER": "no.such.Notifier"}, "No module named", id="no-module"),
        pytest.param({"ALERTS_NOTIFIER": "json.loads"}, "not an Airflow notifier", id="no-notifier"),
        pytest.param(
            {"ALERTS_NOTIFIER": "airflow.providers.smtp.notifications.smtp.SmtpNotifier"}, "'to'", id="no-arguments"
        ),
    ],
)
def test_invalid_notifier_is_logged(mailing: Tasks, environment: dict[str, str], message: str) -> None:
    answer = mailing.do("send", name="a.csv", **environment, **QUICK)
    assert answer["result"] is False
    assert message in answer["log"]

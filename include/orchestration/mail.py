"""A notifier for mails with a text part and an HTML part, on top of Airflow's SMTP notifier and an SMTP connection.

What belongs here: what the provider's notifier lacks: the text part, and limits that do not depend on the connection.
Import this module only to send a mail: the provider is slow to import.
"""

from __future__ import annotations

import logging
from email.mime.text import MIMEText
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.smtp.hooks.smtp import SmtpHook
from airflow.providers.smtp.notifications.smtp import SmtpNotifier

if TYPE_CHECKING:
    import smtplib
    from email.mime.multipart import MIMEMultipart

log = logging.getLogger(__name__)


class MailNotifier(SmtpNotifier):
    """Send one mail, with one attempt: the caller retries.

    Args:
        text: text part for readers without HTML; a Jinja template like the other texts.
        timeout_seconds: for each response of the server.
        options: arguments of SmtpNotifier.
    """

    template_fields = (*SmtpNotifier.template_fields, "text")  # type: ignore[assignment]  # one more field

    def __init__(self, *, text: str, timeout_seconds: int, **options: Any) -> None:
        super().__init__(**options)
        self.text, self.timeout_seconds = text, timeout_seconds

    @cached_property
    def hook(self) -> SmtpHook:
        """Return the hook with this notifier's limits. Airflow has rendered the text before it reads this property."""
        return _MailHook(self.text, self.timeout_seconds, self.smtp_conn_id)


class _MailHook(SmtpHook):
    """SMTP hook with one attempt. The provider's default is six attempts with a timeout of 30 seconds each."""

    def __init__(self, text: str, timeout_seconds: int, smtp_conn_id: str) -> None:
        super().__init__(smtp_conn_id=smtp_conn_id)
        self._text, self._timeout_seconds = text, timeout_seconds

    @property
    def smtp_retry_limit(self) -> int:
        return 0

    @property
    def timeout(self) -> int:
        return self._timeout_seconds

    def _build_client(self) -> smtplib.SMTP_SSL | smtplib.SMTP:
        """Return a client that logs each refused recipient of a mail that was accepted for others."""
        client = super()._build_client()
        send = client.sendmail

        def sendmail(*args: Any, **options: Any) -> Any:
            refused = send(*args, **options)
            for address, (code, _) in sorted(refused.items()):
                log.error("The mail server refused the alert for %s: %s", address, code)
            return refused

        client.sendmail = sendmail  # type: ignore[method-assign]
        return client

    def _build_mime_message(self, *args: Any, **options: Any) -> tuple[MIMEMultipart, list[str]]:
        """Return the provider's message with the text part first: mail programs prefer the last alternative."""
        message, recipients = super()._build_mime_message(*args, **options)
        message.set_payload([MIMEText(self._text, "plain", "utf-8"), *message.get_payload()])
        return message, recipients

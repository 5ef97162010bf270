"""A mail with a text and a page, over Airflow's own SMTP notifier and a connection of type SMTP.

What belongs here: what that notifier lacks: the text beside the page, and limits that hold whatever the connection
says. Nothing imports this module but who sends a mail: the provider takes a while to import.
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
    """Sends one mail, once: whoever calls it tries again.

    Args:
        text: the mail for those who read no HTML; a template, as the other texts are.
        timeout_seconds: for each answer of the server.
        options: those of the SmtpNotifier.
    """

    template_fields = (*SmtpNotifier.template_fields, "text")  # type: ignore[assignment]  # one more

    def __init__(self, *, text: str, timeout_seconds: int, **options: Any) -> None:
        super().__init__(**options)
        self.text, self.timeout_seconds = text, timeout_seconds

    @cached_property
    def hook(self) -> SmtpHook:
        """The server, with our limits. The text is rendered by the time this is asked for."""
        return _MailHook(self.text, self.timeout_seconds, self.smtp_conn_id)


class _MailHook(SmtpHook):
    """The provider's hook tries six times in a row and waits 30 seconds each, unless the connection says otherwise."""

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
        """The client, which says whom the server refused while it took the mail for others: the provider does not."""
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
        """The provider's message with the text before the page: of alternatives the last one is the best."""
        message, recipients = super()._build_mime_message(*args, **options)
        message.set_payload([MIMEText(self._text, "plain", "utf-8"), *message.get_payload()])
        return message, recipients

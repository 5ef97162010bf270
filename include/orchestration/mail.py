"""Mail with a text part and an HTML part, through an Airflow connection of type SMTP.

Import this module only to send a mail: the provider is slow to import.
"""

from __future__ import annotations

import logging
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.smtp.hooks.smtp import SmtpHook

if TYPE_CHECKING:
    import smtplib

    from include.settings import AlertSettings

log = logging.getLogger(__name__)


class _OneAttempt(SmtpHook):
    """Replaces the provider's limits, which are properties: six attempts with a timeout of 30 seconds each."""

    smtp_retry_limit = 0
    timeout = 0


def send_mail(connection_id: str, fields: dict[str, Any], settings: AlertSettings) -> None:
    """Send one mail, with one attempt: the caller retries."""
    # Mail programs prefer the last alternative.
    parts = [MIMEText(fields["text"], "plain", "utf-8"), MIMEText(fields["html"], "html", "utf-8")]
    mail = MIMEMultipart("alternative", _subparts=parts)
    mail["Subject"], mail["From"], mail["To"] = fields["subject"], settings.sender, ", ".join(settings.addresses)
    mail["Date"], mail["Auto-Submitted"] = formatdate(localtime=True), "auto-generated"
    hook = _OneAttempt(connection_id)
    hook.timeout = settings.timeout_seconds
    with hook:
        refused = cast("smtplib.SMTP", hook._smtp_client).send_message(mail)  # noqa: SLF001 - no public access
    for address, (code, _) in sorted(refused.items()):
        log.error("The mail server refused the alert for %s: %s", address, code)

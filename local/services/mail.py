"""The mail server for alerts, as an Airflow connection. The embedded platform has no mail server.

What belongs here: the connection, from the settings ALERTS_SMTP_*. What does not: recipients and content of alerts.
"""

from __future__ import annotations

from typing import Any

from include.settings import AlertMailSettings
from local.settings import pipeline_variables

_PREFIX = "ALERTS_SMTP_"


def connection() -> dict[str, Any]:
    """Return the connection `alerts_smtp`. Without ALERTS_SMTP_HOST it has no valid host, and no alert uses it.

    Raises:
        ValidationError: a setting is invalid.
    """
    variables = pipeline_variables().items()
    mail = AlertMailSettings.model_validate(
        {name.removeprefix(_PREFIX).lower(): value for name, value in variables if name.startswith(_PREFIX)}
    )
    return {
        "conn_type": "smtp",
        "host": mail.host,
        "port": mail.port,
        "login": mail.user,
        "password": mail.password.get_secret_value(),
        "extra": {"disable_ssl": mail.security != "ssl", "disable_tls": mail.security != "starttls"},
    }

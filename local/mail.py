"""The mail server that alerts go through, as an Airflow connection. There is none among the embedded services.

What belongs here: the connection, from the settings ALERTS_SMTP_*. What does not: whom is written to, and about what.
"""

from __future__ import annotations

from typing import Any

from include.settings import AlertMailSettings
from local.settings import pipeline_variables

_PREFIX = "ALERTS_SMTP_"


def connection() -> dict[str, Any]:
    """The connection `alerts_smtp`. It leads nowhere until the settings say otherwise, and nobody uses it until then.

    Raises:
        ValidationError: a setting is wrong.
    """
    told = pipeline_variables().items()
    mail = AlertMailSettings.model_validate(
        {name.removeprefix(_PREFIX).lower(): value for name, value in told if name.startswith(_PREFIX)}
    )
    return {
        "conn_type": "smtp",
        "host": mail.host,
        "port": mail.port,
        "login": mail.user,
        "password": mail.password.get_secret_value(),
        "extra": {"disable_ssl": mail.security != "ssl", "disable_tls": mail.security != "starttls"},
    }

"""`python -m deploy.start scheduler`: start an Airflow component in its container, with variables computed here.

What belongs here: variables that Compose's interpolation cannot express. All others are in docker-compose.yaml.
"""

from __future__ import annotations

import json
import os
import sys

from local.services import mail


def computed_variables() -> dict[str, str]:
    """Return the connection of the mail server, from the settings ALERTS_SMTP_* as on the embedded platform."""
    return {"AIRFLOW_CONN_ALERTS_SMTP": json.dumps(mail.connection())}


if __name__ == "__main__":
    os.environ |= computed_variables()
    os.execvp("airflow", ["airflow", *sys.argv[1:]])  # noqa: S606, S607 - no shell; the image's PATH says which

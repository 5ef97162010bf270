"""`python -m deploy.start scheduler`: a part of Airflow in its container, with what Compose cannot work out for it.

What belongs here: values that depend on others than by being put in their place. All else stands in
docker-compose.yaml.
"""

from __future__ import annotations

import json
import os
import sys

from local import mail


def made_variables() -> dict[str, str]:
    """The connection of the mail server, from the settings ALERTS_SMTP_* as on the embedded platform."""
    return {"AIRFLOW_CONN_ALERTS_SMTP": json.dumps(mail.connection())}


if __name__ == "__main__":
    os.environ |= made_variables()
    os.execvp("airflow", ["airflow", *sys.argv[1:]])  # noqa: S606, S607 - no shell; the image's PATH says which

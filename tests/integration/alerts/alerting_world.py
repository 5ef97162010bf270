"""The interface of tests to the process that sends alerts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess

BUCKET = "alerts-landing"


class Tasks:
    """`tasks.do("files", dataset="sales", ALERTS_MAX_FILES="3")`: upper-case names are environment variables."""

    def __init__(self, process: subprocess.Popen[str], environment: dict[str, str]) -> None:
        self.process, self.environment = process, environment

    def do(self, action: str, **options: Any) -> dict[str, Any]:
        environment = self.environment | {name: value for name, value in options.items() if name.isupper()}
        arguments = {name: value for name, value in options.items() if not name.isupper()}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        line = json.dumps({"action": action, "environment": environment, "arguments": arguments})
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        response = next((line for line in self.process.stdout if line.startswith("RESPONSE")), None)
        assert response, "the process has ended: see its standard error"
        return json.loads(response.removeprefix("RESPONSE"))


def smtp(port: int, **changes: Any) -> str:
    """Return the connection `alerts_smtp` to a server without encryption."""
    extra = {"disable_ssl": True, "disable_tls": True}
    return json.dumps({"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra, **changes})

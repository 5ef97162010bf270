"""How a test speaks with the process that tells of trouble."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess

BUCKET = "alerts-landing"


class Tasks:
    """`tasks.do("files", dataset="sales", ALERTS_MAX_FILES="3")`: capitals are the environment, the rest arguments."""

    def __init__(self, process: subprocess.Popen[str], environment: dict[str, str]) -> None:
        self.process, self.environment = process, environment

    def do(self, action: str, **told: Any) -> dict[str, Any]:
        environment = self.environment | {name: value for name, value in told.items() if name.isupper()}
        arguments = {name: value for name, value in told.items() if not name.isupper()}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        line = json.dumps({"action": action, "environment": environment, "arguments": arguments})
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = next((said for said in self.process.stdout if said.startswith("ANSWER")), None)
        assert answer, "the process has ended: see its standard error"
        return json.loads(answer.removeprefix("ANSWER"))


def smtp(port: int, **changes: Any) -> str:
    """The connection `alerts_smtp` to a server without encryption."""
    extra = {"disable_ssl": True, "disable_tls": True}
    return json.dumps({"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra, **changes})

"""The declaration of a service: its command, its readiness probe, its stop signal.

Each service is declared in a module of this folder, with its preparation: `postgres`, `bucket`, `broker`, `airflow`
and others.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.errors import PlatformError

# In the environment of every service, inherited by its child processes: it marks the processes of a platform.
INSTANCE_VARIABLE = "PLATFORM_INSTANCE"

# The only variables that a service inherits from the user's shell. Others would change its behaviour: a stray
# AIRFLOW_HOME, a PYTHONPATH, a PYTHONDONTWRITEBYTECODE that makes every task compile Airflow again.
_INHERITED = ("HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")

# Gets the time of the start (seconds since the epoch), and returns None if the service is ready, else the reason.
Probe = Callable[[float], str | None]


@dataclass(frozen=True)
class Service:
    """One supervised program.

    Attributes:
        command: program and arguments; no secrets, since `ps` shows it.
        environment: variables besides the shared environment; may contain secrets. `before` needs a non-empty one.
        before: a command that runs before each start; if it fails, the service starts nonetheless.
        probe: checks whether the service is ready.
        port: on the loopback interface; None if the service does not listen.
        port_variable: the setting for the port.
        internal_ports: ports that its parts use internally.
        internal_ports_variable: the setting for the internal ports.
        address: the address for users.
        stop_seconds: time for an orderly stop, before the service is killed.
        user: the operating system user of the process; None for the current user.
    """

    name: str
    command: tuple[str, ...]
    directory: Path
    probe: Probe
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    before: tuple[str, ...] = ()
    port: int | None = None
    port_variable: str = ""
    internal_ports: tuple[int, ...] = ()
    internal_ports_variable: str = ""
    address: str = ""
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    user: str | None = None


def shared_environment(instance: Path) -> dict[str, str]:
    """Return the environment that all services share.

    Args:
        instance: PLATFORM_HOME, which identifies left-over processes later.
    """
    kept = {name: os.environ[name] for name in (*_INHERITED, *_PROXIES) if name in os.environ}
    if any(name in kept for name in _PROXIES):  # services on this machine are never reached through a proxy
        kept["NO_PROXY"] = kept["no_proxy"] = "127.0.0.1,localhost"
    path = [str(Path(sys.executable).parent), os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")]
    return kept | {"PATH": os.pathsep.join(path), "LANG": "C.UTF-8", INSTANCE_VARIABLE: str(instance)}


def get_json(address: str) -> dict[str, Any]:
    """Read a JSON health page for a probe, with a short timeout and without a proxy.

    Raises:
        OSError: the service does not answer, or answers with an error.
        ValueError: the answer is not JSON.
    """
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(address, timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def package_folder(name: str) -> Path:
    """Return the folder of an installed package that contains programs. The package is not imported.

    Raises:
        PlatformError: the package is not installed.
    """
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise PlatformError(f"the package {name} is not installed", "run `make setup`")
    return Path(found.origin).parent

"""What a service is: how it is started, how one knows that it works, how it is stopped.

The services themselves are declared beside what they need to be prepared: `local.postgres`, `local.bucket`,
`local.broker`, `local.ml_api`, `local.airflow`.
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

# Every process we start carries this in its environment, and so do all that it starts.
INSTANCE_VARIABLE = "PLATFORM_INSTANCE"

# What a service may know of the shell it was started from. Everything else would make a start depend on it:
# a stray AIRFLOW_HOME, a PYTHONPATH, a PYTHONDONTWRITEBYTECODE that makes every task compile Airflow again.
_INHERITED = ("HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")

# Given the time of the start (seconds since the epoch): None when the service works, else what is amiss.
Probe = Callable[[float], str | None]


@dataclass(frozen=True)
class Service:
    """One supervised program.

    Attributes:
        command: program and arguments; nothing secret, since `ps` shows it.
        environment: what it needs beyond the shared environment; may hold secrets. There has to be one for `before`.
        before: a command that is run to its end before each start; if it fails, the service starts nonetheless.
        probe: whether it works.
        port: on the loopback interface, if it listens at all.
        port_variable: the setting that chooses the port.
        internal_ports: further ones that its parts use among themselves.
        internal_ports_variable: the setting that chooses those.
        address: what a user types to reach it.
        stop_seconds: how long it may take to end before it is killed.
        user: the operating system's user it runs as, if not ours.
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
    """The environment that all services start from.

    Args:
        instance: PLATFORM_HOME, by which leftovers are recognised later.
    """
    kept = {name: os.environ[name] for name in (*_INHERITED, *_PROXIES) if name in os.environ}
    if any(name in kept for name in _PROXIES):  # what runs here is never reached through a proxy
        kept["NO_PROXY"] = kept["no_proxy"] = "127.0.0.1,localhost"
    path = [str(Path(sys.executable).parent), os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")]
    return kept | {"PATH": os.pathsep.join(path), "LANG": "C.UTF-8", INSTANCE_VARIABLE: str(instance)}


def get_json(address: str) -> dict[str, Any]:
    """What a health page says. For probes: short, and past any proxy.

    Raises:
        OSError: nothing answers, or it answers with an error.
        ValueError: the answer is not JSON.
    """
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(address, timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def package_folder(name: str) -> Path:
    """Where a package that carries programs is installed. Not imported: some do much when they are.

    Raises:
        PlatformError: it is not installed.
    """
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise PlatformError(f"the package {name} is not installed", "run `make setup`")
    return Path(found.origin).parent

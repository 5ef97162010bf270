"""Programs that come from Debian and from no wheel: Redis, Prometheus, its exporters.

What belongs here: finding one on the PATH, or else unpacking Debian's package beside the virtualenv, without root and
without installing anything on the machine. What does not: starting it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from local.errors import PlatformError

_SECONDS = 180  # of one call of apt; a mirror that does not answer is not waited for
_UNPACKED = Path(sys.prefix) / "debian"
_STATUS = Path("/var/lib/dpkg/status")


@dataclass(frozen=True)
class Program:
    """Where a program lies, and what its process has to be told to find its libraries."""

    path: Path
    environment: dict[str, str] = field(default_factory=dict)


def program(name: str, package: str) -> Program:
    """The program of that name: the machine's own, or Debian's, unpacked into the virtualenv at the first call.

    Args:
        name: of the executable, as `redis-server`.
        package: of Debian, that holds it.

    Raises:
        PlatformError: it is not installed, and this machine cannot fetch packages of Debian.
    """
    if installed := shutil.which(name):
        return Program(Path(installed))
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise PlatformError(f"{name} is not installed", f"install it (Debian: {package}), so that it is on the PATH")
    folder = _UNPACKED / package
    with FileLock(str(_made(_UNPACKED) / f"{package}.lock")):
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _unpack(package, folder)
            (folder / ".complete").touch()
    found = [path for place in ("usr/bin", "usr/sbin") if os.path.lexists(path := folder / place / name)]
    if not found:
        raise PlatformError(f"Debian's package {package} holds no {name}", "ask for the package that does")
    libraries = sorted({str(path.parent) for path in (folder / "usr" / "lib").rglob("*.so*")})
    return Program(found[0], {"LD_LIBRARY_PATH": os.pathsep.join(libraries)} if libraries else {})


def _unpack(package: str, folder: Path) -> None:
    """Fetch a package, and what it needs that this machine has not, with lists and archives of our own.

    apt refuses to work while the machine's own packages are not in order. So it is asked what the package needs on an
    empty machine, and of that only what is not installed here is fetched.
    """
    state = _made(_UNPACKED / "state" / "lists" / "partial").parents[1]
    (nothing_installed := state / "status").touch()
    archives = _made(folder / "cache" / "archives")
    options = [
        *("-o", f"Dir::State={state}", "-o", f"Dir::State::status={nothing_installed}"),
        *("-o", f"Dir::Cache={archives.parent}", "-o", "Debug::NoLocking=true", "-o", "APT::Sandbox::User="),
    ]
    _run("apt-get", *options, "--quiet=2", "update")
    plan = _run("apt-get", *options, "--simulate", "--no-install-recommends", "install", package)
    needed = {line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")} | {package}
    _run("apt-get", *options, "--quiet=2", "download", *sorted(needed - _installed()), folder=archives)
    for archive in sorted(archives.glob("*.deb")):
        _run("dpkg-deb", "--extract", str(archive), str(folder))
    shutil.rmtree(folder / "cache")


def _installed() -> set[str]:
    """The names of the machine's packages whose files are there, also of those that apt calls broken."""
    names = set()
    for entry in _STATUS.read_text(encoding="utf-8", errors="replace").split("\n\n") if _STATUS.exists() else ():
        fields = dict(line.split(": ", 1) for line in entry.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status", "").split()[-1:] in (["installed"], ["unpacked"], ["half-configured"]):
            names.add(fields["Package"])
    return names


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(*command: str, folder: Path | None = None) -> str:
    """Run a command in that folder; what it printed."""
    what = " ".join(command[:1] + command[-1:])
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(  # noqa: S603 - apt and dpkg, with names of our own
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise PlatformError(f"{what} did not end within {_SECONDS} s", "look whether Debian's mirror answers") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise PlatformError(f"{what} failed: {last}", "install the program by hand, so that it is on the PATH")
    return done.stdout

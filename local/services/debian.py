"""Programs that exist as Debian packages and not as wheels: Redis, Prometheus, its exporters.

What belongs here: finding a program on the PATH, or unpacking its Debian package into the virtualenv, without root and
without installing it on the machine. What does not: starting it.
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

_SECONDS = 180  # the timeout of one apt command
_UNPACKED = Path(sys.prefix) / "debian"
_STATUS = Path("/var/lib/dpkg/status")


@dataclass(frozen=True)
class Program:
    """The path of a program, and the environment in which it finds its libraries."""

    path: Path
    environment: dict[str, str] = field(default_factory=dict)


def program(name: str, package: str) -> Program:
    """Find a program on the PATH, or unpack its Debian package into the virtualenv at the first call.

    Args:
        name: of the executable, for instance `redis-server`.
        package: the Debian package that contains it.

    Raises:
        PlatformError: the program is not installed, and its Debian package cannot be downloaded.
    """
    if installed := shutil.which(name):
        return Program(Path(installed))
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise PlatformError(f"{name} is not installed", f"install it (Debian: {package}), so that it is on the PATH")
    folder = _UNPACKED / package
    with FileLock(str(_make_folder(_UNPACKED) / f"{package}.lock")):
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _unpack(package, folder)
            (folder / ".complete").touch()
    found = [path for part in ("usr/bin", "usr/sbin") if os.path.lexists(path := folder / part / name)]
    if not found:
        raise PlatformError(f"Debian's package {package} contains no {name}", "name the package that contains it")
    # Debian 12 has some libraries, such as that of ncurses, in /lib.
    parts = (folder / "usr" / "lib", folder / "lib")
    libraries = sorted({str(path.parent) for part in parts for path in part.rglob("*.so*")})
    return Program(found[0], {"LD_LIBRARY_PATH": os.pathsep.join(libraries)} if libraries else {})


def _unpack(package: str, folder: Path) -> None:
    """Download a package and those of its dependencies that are not installed, with a separate apt state and cache.

    apt refuses to work while packages of the machine are broken. So it computes the dependencies for an empty machine,
    and only packages that are not installed here are downloaded.
    """
    state = _make_folder(_UNPACKED / "state" / "lists" / "partial").parents[1]
    (nothing_installed := state / "status").touch()
    archives = _make_folder(folder / "cache" / "archives")
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
    """Return the packages of the machine whose files exist, including those that apt calls broken."""
    names = set()
    for entry in _STATUS.read_text(encoding="utf-8", errors="replace").split("\n\n") if _STATUS.exists() else ():
        fields = dict(line.split(": ", 1) for line in entry.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status", "").split()[-1:] in (["installed"], ["unpacked"], ["half-configured"]):
            names.add(fields["Package"])
    return names


def _make_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(*command: str, folder: Path | None = None) -> str:
    """Run a command in a folder and return its standard output."""
    what = " ".join(command[:1] + command[-1:])
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(  # noqa: S603 - apt and dpkg, with constant names
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise PlatformError(f"{what} did not end within {_SECONDS} s", "check that Debian's mirror answers") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise PlatformError(f"{what} failed: {last}", "install the program yourself, so that it is on the PATH")
    return done.stdout

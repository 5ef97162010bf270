"""supervisord: its configuration, its start and stop, and the control of its programs.

It runs as a daemon, restarts dead programs and rotates the logs. It does not start programs by itself: the start order
is in `local.supervisor.platform`, the readiness checks are in `local.supervisor.readiness`.
"""

from __future__ import annotations

import http.client
import os
import shlex
import stat
import subprocess
import sys
import time
import xmlrpc.client
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from local.errors import PlatformError
from local.services.service import Service, shared_environment
from local.supervisor.processes import Session, is_alive

if TYPE_CHECKING:
    from pathlib import Path

    from local.settings import Layout

_USER = "platform"
_START_SECONDS = 15.0
_SHUTDOWN_SECONDS = 30.0
_LOG_BYTES = "20MB"
_LOG_BACKUPS = 3
_DO_NOT_WAIT = False


@dataclass(frozen=True)
class ProgramState:
    """The supervisor's information on a program. `state` is a supervisor state: RUNNING, STOPPED, BACKOFF, FATAL..."""

    state: str
    pid: int | None
    started: float
    explanation: str

    @property
    def running(self) -> bool:
        """Whether the program is starting or running."""
        return self.state in {"STARTING", "RUNNING"}


class Supervisor:
    """A client of one supervisord, through its private socket."""

    def __init__(self, layout: Layout, password: str) -> None:
        self._layout, self._password = layout, password

    def start(self, services: list[Service]) -> Session:
        """Write the configuration for these services and start the daemon. It starts none of the services.

        Returns:
            The process session of the daemon and all its children.

        Raises:
            PlatformError: the daemon does not start.
        """
        socket = self._layout.socket
        _private_folder(self._layout.run)
        _private_folder(socket.parent)
        socket.unlink(missing_ok=True)
        configuration = self._layout.run / "supervisord.conf"
        _write_private(configuration, self._configuration(services))
        done = subprocess.run(  # noqa: S603 - this Python interpreter
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)],
            env=shared_environment(self._layout.home),
            cwd=self._layout.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("Error: ")]
            reason = lines[0].removeprefix("Error: ") if lines else f"exit code {done.returncode}"
            raise PlatformError(f"the supervisor does not start: {reason}", f"look into {self._log}")
        return self._wait_for_session()

    def answering(self) -> bool:
        """Whether the supervisor of this platform runs and answers."""
        try:
            self._call("supervisor.getState")
        except PlatformError:
            return False
        return True

    def states(self) -> dict[str, ProgramState]:
        """Return the state of every program by name; empty when there is no supervisor."""
        if not self.answering():
            return {}
        return {info["name"]: _state(info) for info in self._call("supervisor.getAllProcessInfo")}

    def start_program(self, name: str) -> None:
        """Start a program without waiting. Do nothing if it runs already."""
        self._call("supervisor.startProcess", name, _DO_NOT_WAIT, tolerate="ALREADY_STARTED")

    def stop_programs(self, names: list[str], seconds: float) -> None:
        """Stop programs at the same time, and wait. The supervisor kills a program that exceeds its `stop_seconds`."""
        for name in names:
            self._call("supervisor.stopProcess", name, _DO_NOT_WAIT, tolerate="NOT_RUNNING")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            states = self.states()
            if not any(states[name].state in {"STOPPING", "RUNNING", "STARTING"} for name in names if name in states):
                return
            time.sleep(0.1)

    def shutdown(self) -> None:
        """End the daemon, after its programs are stopped."""
        daemon = psutil.Process(int(self._call("supervisor.getPID")))
        self._call("supervisor.shutdown")
        deadline = time.monotonic() + _SHUTDOWN_SECONDS
        while time.monotonic() < deadline and is_alive(daemon):
            time.sleep(0.05)

    def log(self, name: str) -> Path:
        """Return the path of a program's log."""
        return self._layout.logs / f"{name}.log"

    @property
    def _log(self) -> Path:
        return self._layout.logs / "supervisor.log"

    @property
    def _pid_file(self) -> Path:
        return self._layout.run / "supervisord.pid"

    def _wait_for_session(self) -> Session:
        deadline = time.monotonic() + _START_SECONDS
        while not self.answering():
            if time.monotonic() > deadline:
                raise PlatformError("the supervisor does not answer", f"look into {self._log}")
            time.sleep(0.05)
        pid = int(self._call("supervisor.getPID"))
        return Session(id=os.getsid(pid), leader_started=psutil.Process(pid).create_time())

    def _call(self, method: str, *arguments: object, tolerate: str = "") -> Any:
        transport = SupervisorTransport(_USER, self._password, f"unix://{self._layout.socket}")
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        try:
            return getattr(proxy, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if tolerate and fault.faultString.startswith(tolerate):
                return None
            raise PlatformError(f"the supervisor refuses {method}{arguments}: {fault.faultString}") from fault
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise PlatformError(f"the supervisor does not answer: {error}") from error
        finally:
            transport.close()

    def _configuration(self, services: list[Service]) -> str:
        layout = self._layout
        sections: dict[str, dict[str, object]] = {
            "unix_http_server": {
                "file": layout.socket,
                "chmod": "0600",
                "username": _USER,
                "password": self._password,
            },
            "supervisord": {
                "logfile": self._log,
                "logfile_maxbytes": _LOG_BYTES,
                "logfile_backups": _LOG_BACKUPS,
                "loglevel": "info",
                "pidfile": self._pid_file,
                "childlogdir": layout.logs,
                "directory": layout.home,
                "identifier": "platform",
                "umask": "077",  # files of the services are readable by their owner only
            },
            "rpcinterface:supervisor": {
                "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
            },
        }
        if os.geteuid() == 0:
            sections["supervisord"]["user"] = "root"  # without it, supervisord warns when it runs as root
        for service in services:
            sections[f"program:{service.name}"] = self._program(service)
        return "\n".join(_section(name, options) for name, options in sections.items())

    def _program(self, service: Service) -> dict[str, object]:
        command = service.command
        if service.environment:  # in a private script, because supervisor's `environment=` cannot quote every value
            script = self._layout.run / f"{service.name}.sh"
            _write_private(script, _script(service))
            command = ("/bin/sh", str(script))
        options: dict[str, object] = {
            "command": shlex.join(command),
            "directory": service.directory,
            "autostart": "false",
            "autorestart": "true",
            "startsecs": 1,
            "startretries": 20,  # with growing pauses: four minutes, in which a dependency may recover
            "stopsignal": service.stop_signal,
            "stopwaitsecs": service.stop_seconds,
            # PostgreSQL's postmaster signals its children itself; SIGINT to each would only cancel their queries.
            "stopasgroup": str(service.stop_signal == "TERM").lower(),
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": self.log(service.name),
            "stdout_logfile_maxbytes": _LOG_BYTES,
            "stdout_logfile_backups": _LOG_BACKUPS,
        }
        return options | ({"user": service.user} if service.user else {})


def _state(info: dict[str, Any]) -> ProgramState:
    return ProgramState(
        state=info["statename"], pid=info["pid"] or None, started=float(info["start"]), explanation=info["spawnerr"]
    )


def _section(name: str, options: dict[str, object]) -> str:
    # supervisor would read a percent sign as the start of a variable
    lines = [f"{option}={str(value).replace('%', '%%')}" for option, value in options.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _script(service: Service) -> str:
    exports = [f"export {name}={shlex.quote(value)}" for name, value in service.environment.items()]
    before = [shlex.join(service.before)] if service.before else []
    return "\n".join(["#!/bin/sh", *exports, *before, f"exec {shlex.join(service.command)}", ""])


def _private_folder(path: Path) -> None:
    """Create a folder that only this user can access. In a shared temporary folder, another user may own its path."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PlatformError(f"{path} is not a folder of the current user", "remove it")
    path.chmod(0o700)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)

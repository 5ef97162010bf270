"""supervisor's configuration, and that it shows no secret."""

from __future__ import annotations

import configparser
import shlex
import subprocess
from pathlib import Path

import pytest

from local.errors import PlatformError
from local.services.service import Service
from local.settings import Layout
from local.supervisor.supervision import Supervisor, _private_folder, _script

pytestmark = pytest.mark.unit

NASTY = """quote ' and " and $HOME and `id` and % and ; and \\ and a line\nbreak"""


def service(**changes: object) -> Service:
    basics = {"name": "one", "command": ("/bin/echo", "a b"), "directory": Path("/"), "probe": lambda _since: None}
    return Service(**(basics | changes))


def configuration(tmp_path: Path, *services: Service) -> configparser.RawConfigParser:
    layout = Layout(tmp_path)
    layout.run.mkdir()
    found = configparser.RawConfigParser()
    found.read_string(Supervisor(layout, "secret")._configuration(list(services)))
    return found


def test_service_gets_its_environment_unchanged() -> None:
    script = _script(service(command=("printenv", "NASTY"), environment={"NASTY": NASTY}))
    assert subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True).stdout == NASTY + "\n"


def test_before_command_ends_before_the_service_starts_and_may_fail() -> None:
    before = ("sh", "-c", "echo first; exit 1")
    script = _script(service(command=("echo", "second"), before=before, environment={"A": "b"}))
    assert subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True).stdout == (
        "first\nsecond\n"
    )


def test_secrets_are_in_a_private_script_and_not_on_the_command_line(tmp_path: Path) -> None:
    program = configuration(tmp_path, service(environment={"KEY": "hidden"}))["program:one"]
    assert "hidden" not in program["command"]
    script = Path(shlex.split(program["command"])[1])
    assert "hidden" in script.read_text()
    assert script.stat().st_mode & 0o777 == 0o600


def test_nothing_starts_by_itself_and_everything_is_restarted(tmp_path: Path) -> None:
    program = configuration(tmp_path, service())["program:one"]
    assert (program["autostart"], program["autorestart"]) == ("false", "true")


def test_the_signal_of_a_fast_shutdown_goes_to_the_postmaster_alone(tmp_path: Path) -> None:
    found = configuration(tmp_path, service(stop_signal="INT"), service(name="two"))
    assert (found["program:one"]["stopsignal"], found["program:one"]["stopasgroup"]) == ("INT", "false")
    assert (found["program:two"]["stopsignal"], found["program:two"]["stopasgroup"]) == ("TERM", "true")


def test_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PlatformError, match="not a folder of the current user"):
        _private_folder(tmp_path / "run")


def test_without_a_supervisor_there_are_no_states(tmp_path: Path) -> None:
    supervisor = Supervisor(Layout(tmp_path), "secret")
    assert not supervisor.answering()
    assert supervisor.states() == {}

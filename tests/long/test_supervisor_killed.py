"""A platform whose supervisor was killed: `down` ends all of its processes, and `up` works again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from local.settings import temporary_settings
from local.supervisor import processes
from local.supervisor.platform import Platform
from tests.running_platform import listening_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def whole() -> Iterator[Platform]:
    """A platform with all services, in a temporary folder and on free ports."""
    home = Path(tempfile.mkdtemp(prefix="platform-"))
    platform = Platform(temporary_settings(home))
    try:
        platform.up()
        yield platform
    finally:
        platform.down()
        shutil.rmtree(home)


def test_down_after_the_supervisor_was_killed_leaves_nothing_and_up_works_again(whole: Platform) -> None:
    supervisor = psutil.Process(int((whole.settings.layout.run / "supervisord.pid").read_text()))
    every = [supervisor, *supervisor.children(recursive=True)]
    assert len(every) > 15, "the scheduler's workers and PostgreSQL's are among them"
    supervisor.send_signal(signal.SIGKILL)
    for process in every:  # a task may have started meanwhile
        with suppress(psutil.NoSuchProcess):
            every.extend(process.children(recursive=True))

    whole.down()

    assert [process for process in every if processes.is_alive(process)] == []
    home = str(whole.settings.platform_home)
    for process in psutil.process_iter():
        try:
            texts = [*process.cmdline(), process.cwd(), process.environ().get("PLATFORM_INSTANCE", "")]
        except (psutil.Error, OSError):
            continue
        assert process.pid == os.getpid() or not any(home in text for text in texts), texts
    for port in listening_ports(whole):
        with socket.create_server(("127.0.0.1", port)):
            pass

    assert whole.up()
    end = time.monotonic() + 120  # on a busy machine a heartbeat may be late right after a start
    while complaints := [service for service in whole.status() if not service.healthy]:
        assert time.monotonic() < end, complaints
        time.sleep(1)

"""A MariaDB server of a test or a benchmark: Debian's package, unpacked beside the virtualenv."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local.services.debian import program
from local.settings import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = "mariadb-server"
_READY_SECONDS = 60
LOGIN, PASSWORD = "app", "p@ss/w:rd?#%é"


@dataclass(frozen=True)
class MariaDb:
    """A running server."""

    port: int
    folder: Path
    client: Path
    environment: dict[str, str]

    def run(self, sql: str, *options: str) -> str:
        """Run SQL as root; the output has tabs between columns."""
        command = [str(self.client), "--no-defaults", f"--socket={self.folder / 's'}", "--user=root", "--batch",
                   "--skip-column-names", "--default-character-set=utf8mb4", "--local-infile=1", *options]  # fmt: skip
        done: subprocess.CompletedProcess[str] = subprocess.run(
            command, input=sql, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout


@contextmanager
def mariadb(folder: Path, *options: str) -> Iterator[MariaDb]:
    """Start a server with a database `shop` and the user `app`, who may read it; stop it at the end.

    Args:
        folder: an empty one.
        options: of mariadbd.
    """
    server = program("mariadbd", PACKAGE)
    install = program("mariadb-install-db", PACKAGE)
    base = server.path.parents[1]
    environment = {**os.environ, **server.environment}
    data, log = folder / "data", folder / "log"
    own = ["--user=root"] if os.geteuid() == 0 else []
    subprocess.run(
        ["bash", install.path, "--no-defaults", f"--basedir={base}", f"--datadir={data}", "--skip-test-db",
         "--auth-root-authentication-method=normal", *own],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    [port] = free_ports(1)
    command = [str(server.path), "--no-defaults", *own, f"--basedir={base}", f"--datadir={data}", f"--port={port}",
               "--bind-address=127.0.0.1", f"--socket={folder / 's'}", f"--pid-file={folder / 'pid'}",
               "--skip-name-resolve", "--innodb-buffer-pool-size=256M", "--innodb-flush-log-at-trx-commit=0",
               *options]  # fmt: skip
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as running:
        try:
            made = MariaDb(port, folder, base / "bin" / "mariadb", environment)
            _wait(made, running)
            made.run(
                f"CREATE DATABASE shop CHARACTER SET utf8mb4; CREATE USER {LOGIN} IDENTIFIED BY '{PASSWORD}'; "
                f"GRANT SELECT ON shop.* TO {LOGIN}"
            )
            yield made
        finally:
            running.send_signal(signal.SIGTERM)


def _wait(made: MariaDb, running: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _READY_SECONDS
    while True:
        try:
            made.run("SELECT 1")
            return
        except RuntimeError as error:
            if running.poll() is not None or time.monotonic() > end:
                raise RuntimeError((made.folder / "log").read_text()) from error
            time.sleep(0.2)

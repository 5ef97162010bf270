"""Checks before a service is started: its program, its port, free disk space."""

from __future__ import annotations

import shutil
import socket
from typing import TYPE_CHECKING

from local.errors import PlatformError
from local.supervisor import processes

if TYPE_CHECKING:
    from pathlib import Path

    from local.services.service import Service


def check_program(service: Service) -> None:
    """Check that the program of a service is installed.

    Raises:
        PlatformError: it is missing.
    """
    if not shutil.which(service.command[0]):
        raise PlatformError(f"the program of {service.name} is missing: {service.command[0]}", "run `make setup`")


def check_port(service: Service) -> None:
    """Check that no other process listens on a port of a service.

    Raises:
        PlatformError: a port is taken; the message names the process if it is visible to this user.
    """
    ports = dict.fromkeys(service.internal_ports, service.internal_ports_variable)
    if service.port is not None:
        ports[service.port] = service.port_variable
    for port, variable in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                listener = processes.listener(port)
                cause = f" by {listener}" if listener else f" ({error.strerror})"
                raise PlatformError(
                    f"port {port} for {service.name} is taken{cause}",
                    f"stop that process, or set {variable} to another port, in the environment or in .env",
                ) from error


def check_disk(home: Path, least_mb: int) -> None:
    """Check that the disk has enough free space.

    Raises:
        PlatformError: fewer than `least_mb` MB are free.
    """
    free = shutil.disk_usage(home).free // 2**20
    if free < least_mb:
        raise PlatformError(
            f"only {free} MB are free at {home}, {least_mb} are needed",
            "free disk space, or set PLATFORM_HOME to another disk or PLATFORM_MIN_FREE_MB lower",
        )

"""docker-compose.yaml as the checks read it: services, their environments, their mounts.

What belongs here: reading. The rules are in the checks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import yaml

from local.errors import PlatformError
from local.settings import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMPOSE_FILE = REPOSITORY / "docker-compose.yaml"

# The module that starts every Airflow component.
STARTER = "deploy.start"

_UNITS = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([bkmg])b?", re.IGNORECASE)


@dataclass(frozen=True)
class Mount:
    """A volume of a service. `source` is a path or the name of a volume, as written in the file."""

    service: str
    source: str
    target: str

    @property
    def is_path(self) -> bool:
        """Whether the source is a folder or file of the host, not a named volume."""
        return self.source.startswith((".", "/", "~"))


@dataclass(frozen=True)
class ComposeFile:
    """The parsed file: YAML merges are resolved, `${...}` variables are not.

    Attributes:
        root: the folder that relative paths in the file start from.
    """

    document: dict[str, Any]
    root: Path

    @classmethod
    def read(cls, path: Path, root: Path | None = None) -> ComposeFile:
        """Read the file.

        Args:
            path: the file.
            root: the folder that its relative paths start from; the file's own folder if left out.

        Raises:
            PlatformError: the file cannot be read, is no YAML or has no services.
        """
        try:
            document = yaml.safe_load(path.read_text())
        except OSError as error:
            raise PlatformError(f"{path} cannot be read: {error.strerror}", "check the path") from error
        except yaml.YAMLError as error:
            raise PlatformError(f"{path} is no YAML: {' '.join(str(error).split())}", "correct the file") from error
        if not isinstance(document, dict) or not isinstance(document.get("services"), dict):
            raise PlatformError(f"{path} describes no services", "correct the file")
        return cls(document, root or path.parent)

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        """Every service by name."""
        found: dict[str, dict[str, Any]] = self.document["services"]
        return found

    @cached_property
    def airflow(self) -> list[str]:
        """The services that run an Airflow component permanently."""
        return [name for name, service in self.services.items() if STARTER in (service.get("entrypoint") or ())]

    def environment(self, service: str) -> dict[str, str | None]:
        """The environment of a service. The value is None for a variable passed on from the shell or `.env`."""
        entries = self.services[service].get("environment") or {}
        if isinstance(entries, list):
            entries = dict((*entry.split("=", 1), None)[:2] for entry in entries)
        return {name: None if value is None else str(value) for name, value in entries.items()}

    def env_files(self, service: str) -> list[tuple[str, bool]]:
        """The files of variables of a service, each with whether it must exist."""
        entries = self.services[service].get("env_file") or []
        entries = [entries] if isinstance(entries, str) else entries
        detailed = [entry if isinstance(entry, dict) else {"path": entry} for entry in entries]
        return [(str(entry["path"]), bool(entry.get("required", True))) for entry in detailed]

    def profiles(self, service: str) -> frozenset[str]:
        """The profiles that start a service; a service without profiles is always started."""
        return frozenset(self.services[service].get("profiles") or ())

    def dependencies(self, service: str) -> dict[str, str]:
        """The services that a service depends on, each with its condition."""
        needs = self.services[service].get("depends_on") or {}
        if isinstance(needs, list):
            return dict.fromkeys(needs, "service_started")
        return {name: str(need.get("condition", "service_started")) for name, need in needs.items()}

    def is_one_shot(self, service: str) -> bool:
        """Whether a service ends after its work."""
        return str(self.services[service].get("restart")) == "no"

    def mounts(self) -> Iterator[Mount]:
        """Every volume of every service."""
        for name, service in self.services.items():
            for volume in service.get("volumes") or ():
                if isinstance(volume, dict):
                    yield Mount(name, str(volume.get("source", "")), str(volume.get("target", "")))
                else:
                    source, _, target = str(volume).partition(":")
                    yield Mount(name, source, target.partition(":")[0])

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every string of the services with its path, for instance `services.redis.image`."""
        yield from _texts(self.document.get("services"), "services")
        yield from _texts(self.document.get("volumes"), "volumes")
        yield from _texts(self.document.get("name"), "name")


def mebibytes(size: str) -> float:
    """Convert a size as Compose writes it, `512m` or `2g`, to mebibytes.

    Raises:
        ValueError: the text is no size.
    """
    if not (found := _SIZE.fullmatch(size)):
        raise ValueError(f"{size!r} is no size")
    return float(found[1]) * _UNITS[found[2].lower()] / 1024**2


def _texts(node: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _texts(value, f"{path}.{name}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _texts(value, f"{path}[{index}]")
    elif isinstance(node, str):
        yield path, node

"""docker-compose.yaml as the checks read it: services, what they are told, what they mount.

What belongs here: reading. What is right or wrong stands in the checks.
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

# The module that every part of Airflow is started by.
STARTER = "deploy.start"

_UNITS = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([bkmg])b?", re.IGNORECASE)


@dataclass(frozen=True)
class Mount:
    """A volume of a service: `source` as the file names it, a path or a volume's name."""

    service: str
    source: str
    target: str

    @property
    def is_path(self) -> bool:
        """A folder or file of the host, not a named volume."""
        return self.source.startswith((".", "/", "~"))


@dataclass(frozen=True)
class ComposeFile:
    """The file, merged, with its variables as they are written.

    Attributes:
        root: the folder that its relative paths are meant from.
    """

    document: dict[str, Any]
    root: Path

    @classmethod
    def read(cls, path: Path, root: Path | None = None) -> ComposeFile:
        """Read the file.

        Args:
            path: of the file.
            root: where its paths are meant from; its own folder if left out.

        Raises:
            PlatformError: it cannot be read, or is no YAML.
        """
        try:
            document = yaml.safe_load(path.read_text())
        except (OSError, yaml.YAMLError) as error:
            raise PlatformError(f"{path} cannot be read: {error}", "mend the file") from error
        if not isinstance(document, dict) or not isinstance(document.get("services"), dict):
            raise PlatformError(f"{path} describes no services", "mend the file")
        return cls(document, root or path.parent)

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        """Every service by name."""
        found: dict[str, dict[str, Any]] = self.document["services"]
        return found

    @cached_property
    def airflow(self) -> list[str]:
        """The services that run a part of Airflow for good."""
        return [name for name, service in self.services.items() if STARTER in (service.get("entrypoint") or ())]

    def environment(self, service: str) -> dict[str, str | None]:
        """What a service is told; None for what it takes from the shell or `.env`, if it is there."""
        told = self.services[service].get("environment") or {}
        if isinstance(told, list):
            told = dict((*entry.split("=", 1), None)[:2] for entry in told)
        return {name: None if value is None else str(value) for name, value in told.items()}

    def profiles(self, service: str) -> frozenset[str]:
        """The profiles that start a service; none means that it is always started."""
        return frozenset(self.services[service].get("profiles") or ())

    def dependencies(self, service: str) -> dict[str, str]:
        """The services that one waits for, and what it waits for."""
        needs = self.services[service].get("depends_on") or {}
        if isinstance(needs, list):
            return dict.fromkeys(needs, "service_started")
        return {name: str(need.get("condition", "service_started")) for name, need in needs.items()}

    def is_one_shot(self, service: str) -> bool:
        """Whether a service does its work and ends."""
        return str(self.services[service].get("restart")) == "no"

    def mounts(self) -> Iterator[Mount]:
        """Every volume of every service."""
        for name, service in self.services.items():
            for volume in service.get("volumes") or ():
                if isinstance(volume, dict):
                    yield Mount(name, str(volume.get("source", "")), str(volume.get("target", "")))
                else:
                    source, _, rest = str(volume).partition(":")
                    yield Mount(name, source, rest.partition(":")[0])

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every text of the services with its place, as `services.redis.image`."""
        yield from _texts(self.document.get("services"), "services")
        yield from _texts(self.document.get("volumes"), "volumes")
        yield from _texts(self.document.get("name"), "name")


def mebibytes(size: str) -> float:
    """A size as Compose writes it, `512m` or `2g`.

    Raises:
        ValueError: it is none.
    """
    if not (found := _SIZE.fullmatch(size)):
        raise ValueError(f"{size!r} is no size")
    return float(found[1]) * _UNITS[found[2].lower()] / 1024**2


def _texts(node: object, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _texts(value, f"{place}.{name}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _texts(value, f"{place}[{index}]")
    elif isinstance(node, str):
        yield place, node

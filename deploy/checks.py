"""All checks of docker-compose.yaml in the order in which they are shown. Each is named after what it holds to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy import setting_checks, structure_checks

if TYPE_CHECKING:
    from collections.abc import Callable

    from deploy.compose_file import ComposeFile

CHECKS: tuple[Callable[[ComposeFile], list[str]], ...] = (
    structure_checks.follows_the_specification,
    setting_checks.variables_are_settled,
    structure_checks.mounted_paths_exist,
    structure_checks.dependencies_can_be_met,
    structure_checks.services_are_watched,
    structure_checks.profiles_are_known,
    structure_checks.images_are_pinned,
    structure_checks.own_images_are_built_once,
    structure_checks.memory_fits,
    structure_checks.ports_are_on_loopback,
    structure_checks.workers_can_be_scaled,
    setting_checks.no_secret_is_written,
    setting_checks.owners_password_stays_away,
    setting_checks.connections_are_provided,
    setting_checks.embedded_names_are_the_same,
    setting_checks.defaults_are_the_same,
)


@dataclass(frozen=True)
class Result:
    """What a check found. No problem is the good case."""

    name: str
    problems: tuple[str, ...]


def run_checks(file: ComposeFile) -> list[Result]:
    """Run them all; one that fails does not hide the others.

    Args:
        file: the Compose file.
    """
    return [Result(check.__name__.replace("_", " "), tuple(check(file))) for check in CHECKS]

"""All checks of docker-compose.yaml in the order in which they are shown. The name of a check states its rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy import setting_checks, structure_checks

if TYPE_CHECKING:
    from collections.abc import Callable

    from deploy.compose_file import ComposeFile

CHECKS: tuple[Callable[[ComposeFile], list[str]], ...] = (
    structure_checks.follows_the_specification,
    setting_checks.variables_have_values,
    structure_checks.mounted_paths_exist,
    structure_checks.dependencies_can_be_met,
    structure_checks.services_have_health_checks,
    structure_checks.profiles_are_known,
    structure_checks.images_are_pinned,
    structure_checks.own_images_are_built_once,
    structure_checks.memory_fits,
    structure_checks.ports_are_on_loopback,
    structure_checks.workers_can_be_scaled,
    setting_checks.no_secret_is_written,
    setting_checks.owner_password_is_not_shared,
    setting_checks.connections_are_provided,
    setting_checks.settings_come_from_one_file,
    setting_checks.connections_of_sources_come_from_their_file,
    setting_checks.embedded_names_are_the_same,
    setting_checks.defaults_are_the_same,
)


@dataclass(frozen=True)
class ComposeCheck:
    """The result of one check. It passed if there are no problems."""

    name: str
    problems: tuple[str, ...]


def run_checks(file: ComposeFile) -> list[ComposeCheck]:
    """Run every check, also after one has found problems.

    Args:
        file: the Compose file.
    """
    return [ComposeCheck(check.__name__.replace("_", " "), tuple(check(file))) for check in CHECKS]

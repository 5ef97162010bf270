"""Checks of the structure of docker-compose.yaml: schema, start order, images, memory, ports.

What belongs here: the containers. The environment of the programs in them is checked in `setting_checks`. A check
returns its problems, each a sentence that names the service or key; an empty list means that the check passed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from jsonschema import Draft7Validator

from deploy.compose_file import mebibytes
from deploy.env_file import PROFILES
from deploy.interpolation import interpolate

if TYPE_CHECKING:
    from deploy.compose_file import ComposeFile

# The Compose specification's own schema, of docker/compose 2.40 (compose-spec/compose-go, Apache License 2.0).
SCHEMA = Path(__file__).with_name("compose-spec.json")

# The remaining memory of a machine of 8 GB is for the operating system and its page cache.
CORE_MEMORY_MB = 7680
_OWN_IMAGE = "filegate/"
_PUBLISHED_ON = "${BIND_ADDRESS:-127.0.0.1}:"
# Paths of the container engine on the host, not of the checkout.
_HOST_PATHS = {"/var/run/docker.sock"}
_SCALED = "airflow-worker"


def follows_the_specification(file: ComposeFile) -> list[str]:
    """The file is valid against the JSON Schema of the Compose specification."""
    validator = Draft7Validator(json.loads(SCHEMA.read_text()))
    errors = sorted(validator.iter_errors(file.document), key=lambda error: list(map(str, error.absolute_path)))
    return [f"{'.'.join(map(str, error.absolute_path)) or 'the file'}: {error.message[:200]}" for error in errors]


def mounted_paths_exist(file: ComposeFile) -> list[str]:
    """Mounted paths and Dockerfiles exist in the checkout, and named volumes are declared and used."""
    problems = []
    mounts, declared = list(file.mounts()), set(file.document.get("volumes") or ())
    for mount in mounts:
        if mount.is_path:
            if mount.source not in _HOST_PATHS and not (file.root / mount.source).exists():
                problems.append(f"{mount.service} mounts {mount.source}, which does not exist")
        elif mount.source not in declared:
            problems.append(f"{mount.service} mounts the volume {mount.source}, which is not declared")
    unused = declared - {mount.source for mount in mounts}
    problems += [f"the volume {name} is declared and not used" for name in sorted(unused)]
    problems += [
        f"{name} is built from {dockerfile}, which does not exist"
        for name, dockerfile in _dockerfiles(file).items()
        if not dockerfile.is_file()
    ]
    return problems


def dependencies_can_be_met(file: ComposeFile) -> list[str]:
    """A dependency has a health check or ends, and is started whenever the service that waits for it is started."""
    problems = []
    for name in file.services:
        for needed, condition in file.dependencies(name).items():
            if needed not in file.services:
                problems.append(f"{name} waits for {needed}, which does not exist")
                continue
            problems += _unmet(file, name, needed, condition)
    return problems


def _unmet(file: ComposeFile, name: str, needed: str, condition: str) -> list[str]:
    problems = []
    one_shot = file.is_one_shot(needed)
    if condition == "service_healthy" and not file.services[needed].get("healthcheck"):
        problems.append(f"{name} waits until {needed} is healthy, and {needed} has no health check")
    elif condition == "service_completed_successfully" and not one_shot:
        problems.append(f"{name} waits for the end of {needed}, which is started again and again")
    elif condition not in {"service_healthy", "service_completed_successfully"}:
        problems.append(f"{name} waits for {needed} to be started only: wait until it is healthy, or for its end")
    if not _starts_with(file, needed, name):
        problems.append(f"{name} waits for {needed}, whose profiles do not always start with its own")
    return problems


def _starts_with(file: ComposeFile, needed: str, name: str) -> bool:
    """Whether `needed` is started whenever `name` is."""
    started_by, profiles = file.profiles(needed), file.profiles(name)
    return not started_by or bool(profiles and profiles <= started_by)


def services_have_health_checks(file: ComposeFile) -> list[str]:
    """Every long-running service has a health check and a restart policy."""
    problems = []
    for name, service in file.services.items():
        if file.is_one_shot(name):
            continue
        if not (service.get("healthcheck") or {}).get("test"):
            problems.append(f"{name} has no health check")
        if service.get("restart") not in {"unless-stopped", "always"}:
            problems.append(f"{name} is not started again when it dies")
    return problems


def profiles_are_known(file: ComposeFile) -> list[str]:
    """A profile is one of the six, and `full` starts everything."""
    problems = []
    for name in file.services:
        profiles = file.profiles(name)
        problems += [f"{name} is in the profile {one}, which is unknown" for one in sorted(profiles - set(PROFILES))]
        if profiles and "full" not in profiles:
            problems.append(f"{name} is not in the profile full")
    return problems


def images_are_pinned(file: ComposeFile) -> list[str]:
    """Every image has a version, and images built here do not run as root."""
    problems = []
    for name, service in file.services.items():
        image = str(service.get("image", ""))
        if not _is_pinned(image):
            problems.append(f"{name} runs {image or 'an image without a name'}: give it a version")
    for name, dockerfile in _dockerfiles(file).items():
        if dockerfile.is_file():
            problems += [f"{name}: {problem}" for problem in _dockerfile_problems(dockerfile.read_text())]
    return problems


def own_images_are_built_once(file: ComposeFile) -> list[str]:
    """An image built here is never pulled, and is built by exactly one service, which is started with the others."""
    problems = []
    for name, service in file.services.items():
        image = str(service.get("image", ""))
        builders = [one for one, other in file.services.items() if other.get("build") and other.get("image") == image]
        if not image.startswith(_OWN_IMAGE):
            if builders:
                problems.append(f"{name} builds {image}: the name of an image built here begins with {_OWN_IMAGE}")
            continue
        if service.get("pull_policy") != "never":
            problems.append(f"{name} may pull {image}, which is published nowhere: set pull_policy: never")
        if len(builders) != 1:
            builder = " and ".join(builders) or "no service"
            problems.append(f"{name} runs {image}, built by {builder}: exactly one service must build it")
        elif not _starts_with(file, builders[0], name):
            problems.append(f"{name} runs {image}, built by {builders[0]}, which does not always start with it")
    return problems


def _dockerfile_problems(text: str) -> list[str]:
    instructions = re.sub(r"\\\n", " ", text)
    bases = re.findall(r"^FROM\s+(\S+)", instructions, flags=re.MULTILINE)
    problems = [f"its image is made from {base}: give it a version" for base in bases if not _is_pinned(base)]
    users = re.findall(r"^USER\s+(\S+)", instructions, flags=re.MULTILINE)
    if not users or users[-1].partition(":")[0] in {"root", "0"}:
        problems.append("its image runs as root")
    return problems


def _is_pinned(image: str) -> bool:
    tag = image.rpartition("/")[2].partition(":")[2]
    # Debian's releases have names; a tag without a number otherwise moves from release to release.
    return bool(re.search(r"\d|bookworm", tag)) and "latest" not in tag


def memory_fits(file: ComposeFile) -> list[str]:
    """Every service has a memory limit, and the sum of the core services' limits fits a machine of 8 GB."""
    problems, core = [], 0.0
    for name, service in file.services.items():
        try:
            limit = mebibytes(str(service.get("mem_limit", "")))
        except ValueError:
            problems.append(f"{name} has no memory limit")
            continue
        if not file.profiles(name) and not file.is_one_shot(name):  # one-shots have ended when the last services start
            core += limit
    if core > CORE_MEMORY_MB:
        problems.append(f"core may take {core:,.0f} MB, more than {CORE_MEMORY_MB:,}")
    return problems


def ports_are_on_loopback(file: ComposeFile) -> list[str]:
    """A port is published on BIND_ADDRESS, 127.0.0.1 by default, and no two services publish the same port."""
    problems: list[str] = []
    taken: dict[str, str] = {}
    for name, service in file.services.items():
        for port in service.get("ports") or ():
            if not isinstance(port, str) or not port.startswith(_PUBLISHED_ON):
                problems.append(f"{name} publishes {port}: begin with {_PUBLISHED_ON}")
                continue
            number = interpolate(port, {}).split(":")[1]
            if other := taken.get(number):
                problems.append(f"{name} and {other} both publish {number}")
            taken[number] = name
        if service.get("network_mode") == "host":
            problems.append(f"{name} is on the host's network, with all its ports")
    return problems


def workers_can_be_scaled(file: ComposeFile) -> list[str]:
    """No service has a fixed container name and the workers publish no port: two replicas would collide."""
    problems = [f"{name} has a container_name" for name, one in file.services.items() if one.get("container_name")]
    if _SCALED not in file.services:
        return [*problems, f"there is no {_SCALED}"]
    if file.services[_SCALED].get("ports"):
        problems.append(f"{_SCALED} publishes a port")
    return problems


def _dockerfiles(file: ComposeFile) -> dict[str, Path]:
    found = {}
    for name, service in file.services.items():
        if build := service.get("build"):
            plain = {"context": build} if isinstance(build, str) else build
            found[name] = file.root / plain.get("context", ".") / plain.get("dockerfile", "Dockerfile")
    return found

"""Checks of the environments in docker-compose.yaml: variables, secrets, connections, names of settings.

What belongs here: the agreement with `include.settings`, `local.settings` and `local.services.airflow`, so that DAGs
find the same settings on the embedded platform and in the containers. A check returns its problems.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from dataclasses import fields
from typing import TYPE_CHECKING

from deploy.env_file import SECRETS, env_text, names_in_pipelines_file
from deploy.interpolation import interpolate, variables
from deploy.start import computed_variables
from local.credentials import Credentials
from local.services import airflow as embedded_airflow
from local.setting_pages import MODELS, settings_of
from local.settings import (
    OF_PIPELINES,
    PIPELINES_FILE,
    SOURCES_FILE,
    PlatformSettings,
    source_connections,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deploy.compose_file import ComposeFile

WORKER = "airflow-worker"
# The services that run code of DAGs, and so may need the connection of a source.
_READ_SOURCES = (WORKER, "airflow-scheduler", "airflow-dag-processor")
_WRITER = "filegate dev env-file"
_SECRET_NAME = re.compile(r"(PASSWORD|PASS|SECRET|SECRET_KEY|_KEY|TOKEN)$|PASSWORD(?!S?_(FILE|COMPLEXITY))|AUTH$")
_NOT_SECRET = re.compile(r"(_FILE|_URL|_ID)$")
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:([^/@\s]+)@")
# The password in the JSON of a connection.
_PASSWORD_IN_JSON = re.compile(r'"(?:password|token|secret)":\s*"([^"]*)"')

# Variables that only containers have.
ONLY_IN_CONTAINERS = {
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER", "AIRFLOW__LOGGING__JSON_LOGS", "AIRFLOW__METRICS__OTEL_ON",
    "AIRFLOW__METRICS__LEGACY_NAMES_ON",
}  # fmt: skip
# Settings with another default in containers; docker-compose.yaml gives the reasons.
OTHER_DEFAULTS = {"INGEST_MERGE_MEMORY_MB"}
# Logins that no service that runs DAGs has: only the one-shot that runs the migrations has the owner's, only the
# commands of a user need those of readers, and DAGs have those of the checks and of Feast as connections.
_OTHER_LOGINS = {
    "WAREHOUSE_OWNER_USER", "WAREHOUSE_OWNER_PASSWORD", "WAREHOUSE_READER_USER", "WAREHOUSE_READER_PASSWORD",
    "WAREHOUSE_TRANSFORM_USER", "WAREHOUSE_TRANSFORM_PASSWORD", "WAREHOUSE_FEAST_DATABASE", "WAREHOUSE_FEAST_USER",
    "WAREHOUSE_FEAST_PASSWORD", "WAREHOUSE_LAKE_DATABASE", "WAREHOUSE_LAKE_READER_USER",
    "WAREHOUSE_LAKE_READER_PASSWORD", "S3_LAKE_READER_ACCESS_KEY_ID", "S3_LAKE_READER_SECRET_ACCESS_KEY",
}  # fmt: skip


def variables_have_values(file: ComposeFile) -> list[str]:
    """Every variable has a default or is required with a message; `dev env-file` writes every required secret."""
    problems, required = [], set()
    for path, text in file.texts():
        try:
            found = list(variables(text))
        except ValueError as error:
            problems.append(f"{path}: {error}")
            continue
        for variable in found:
            if variable.operator == ":?":
                required.add(variable.name)
                if not variable.argument:
                    problems.append(f"{path}: {variable.name} is required without a message: say how to set it")
            elif variable.name in SECRETS:
                problems.append(f"{path}: the secret {variable.name} is not required with :?")
            elif not variable.operator.endswith(("-", "+")):
                problems.append(f"{path}: {variable.name} has neither a default nor is it required with :?")
    problems += [f"{name} is required, and {_WRITER} does not write it" for name in sorted(required - set(SECRETS))]
    problems += [f"{_WRITER} writes {name}, and no service uses it" for name in sorted(set(SECRETS) - required)]
    return problems


def no_secret_is_written(file: ComposeFile) -> list[str]:
    """Passwords, keys and tokens are variables, never literal values."""
    problems = []
    for service in file.services:
        for name, value in file.environment(service).items():
            if value is None:
                continue
            literal = bool(_SECRET_NAME.search(name)) and not _NOT_SECRET.search(name) and not value.startswith("${")
            hidden = _PASSWORD_IN_URL.findall(value) + _PASSWORD_IN_JSON.findall(value)
            if literal or any(part and not part.startswith("${") for part in hidden):
                problems.append(f"{service} has the secret {name} in plain text: use a variable")
    for path, text in file.texts():
        if ".environment" not in path and any(not p.startswith("${") for p in _PASSWORD_IN_URL.findall(text)):
            problems.append(f"{path} holds a password in plain text")
    return problems


def owner_password_is_not_shared(file: ComposeFile) -> list[str]:
    """No Airflow service that runs DAGs or serves pages has the password of the warehouse owner or of a superuser."""
    forbidden = ("WAREHOUSE_OWNER_PASSWORD", "${POSTGRES_PASSWORD", "MINIO_ROOT_PASSWORD")
    return [
        f"{service} has {name}, which holds {one.lstrip('${')}"
        for service in file.airflow
        for name, value in file.environment(service).items()
        for one in forbidden
        if one in f"{name}={value}"
    ]


def settings_come_from_one_file(file: ComposeFile) -> list[str]:
    """The services with AIRFLOW_HOME, and no others, read a file of variables: the optional `pipelines.env`."""
    in_file = set(names_in_pipelines_file())
    problems = []
    for service in file.services:
        if "AIRFLOW_HOME" in file.environment(service):
            if not file.env_files(service):
                problems.append(f"{service} does not read {PIPELINES_FILE}")
            problems += [
                f"{service} sets {name}, so its line in {PIPELINES_FILE} has no effect"
                for name in sorted(in_file & file.environment(service).keys())
            ]
        for path, required in file.env_files(service):
            if path == SOURCES_FILE:
                continue  # connections_of_sources_come_from_their_file
            if path != PIPELINES_FILE:
                problems.append(f"{service} reads {path}: it may read only {PIPELINES_FILE}, which holds no password")
            elif "AIRFLOW_HOME" not in file.environment(service):
                problems.append(f"{service} reads {path}, which is for the services of Airflow")
            elif required:
                problems.append(f"{service} requires {path}, which may be missing: write required: false")
    return problems


def connections_of_sources_come_from_their_file(file: ComposeFile) -> list[str]:
    """The services that run code of DAGs, and no others, read the optional `sources.env`."""
    problems = [f"there is no {one}" for one in _READ_SOURCES if one not in file.services]
    for service in file.services:
        required = dict(file.env_files(service)).get(SOURCES_FILE)
        if required is None and service in _READ_SOURCES:
            problems.append(f"{service} does not read {SOURCES_FILE}")
        elif required is not None and service not in _READ_SOURCES:
            problems.append(f"{service} reads {SOURCES_FILE}, which holds the tokens of sources")
        elif required:
            problems.append(f"{service} requires {SOURCES_FILE}, which may be missing: write required: false")
    return problems


def connections_are_provided(file: ComposeFile) -> list[str]:
    """Every Airflow service has every connection that a DAG names."""
    used = connection_ids(file.root)
    problems = [] if used else ["no connection id was found in dags/ and include/orchestration/"]
    for service in file.airflow:
        provided = file.environment(service).keys() | computed_variables().keys()
        problems += [
            f"{service} lacks the connection {one}"
            for one in sorted(used)
            if f"AIRFLOW_CONN_{one.upper()}" not in provided
        ]
    return problems


def embedded_names_are_the_same(file: ComposeFile) -> list[str]:
    """The Airflow containers have the same variables as Airflow on the embedded platform, or read them from a file."""
    if WORKER not in file.services:
        return [f"there is no {WORKER}"]
    environment = file.environment(WORKER)
    placeholders = Credentials(**{field.name: "x" for field in fields(Credentials)})
    # Containers have a connection for GitHub; those of the other sources are the user's.
    scaled = PlatformSettings(
        _env_file=None, airflow_executor="celery", stand_ins=False, source_github_url="https://api.github.com"
    )
    embedded = set(embedded_airflow.environment(scaled, placeholders))
    pipelines = pipeline_settings()
    given = environment.keys() | computed_variables().keys() | source_connections().keys()
    problems = [f"{WORKER} lacks {name}, which the embedded Airflow has" for name in sorted(embedded - given)]
    of_airflow = {name for name in environment if name.startswith(("AIRFLOW__", "AIRFLOW_CONN_"))}
    extra = of_airflow - embedded - ONLY_IN_CONTAINERS
    problems += [f"{WORKER} has {name}, which the embedded Airflow lacks" for name in sorted(extra)]
    missing = set(pipelines) - _OTHER_LOGINS - set(environment) - set(names_in_pipelines_file())
    problems += [f"{WORKER} does not get the setting {name}" for name in sorted(missing)]
    unknown = {name for name in environment if name.startswith(OF_PIPELINES)} - set(pipelines)
    problems += [f"{WORKER} has {name}, which is no setting" for name in sorted(unknown)]
    elsewhere = {variable.name for _, text in file.texts() for variable in variables(text)}
    problems += [
        f"{name} is in {PIPELINES_FILE}, and the file takes it from .env: set it for {WORKER} too"
        for name in sorted(elsewhere & set(names_in_pipelines_file()))
    ]
    problems += [
        f"{service} has another environment than {WORKER}: {', '.join(sorted(differing))}"
        for service in file.airflow
        if (differing := _differing(file.environment(service), environment) - {"OTEL_SERVICE_NAME"})
    ]
    return problems


def defaults_are_the_same(file: ComposeFile) -> list[str]:
    """A setting has the same default in docker-compose.yaml, in the settings classes and in the generated `.env`."""
    # An empty default of the embedded platform stands for one of its own services, which has another address here.
    settings = pipeline_settings() | {one.name: one.default for one in settings_of(PlatformSettings)}
    known = {name: value for name, value in settings.items() if value and name not in OTHER_DEFAULTS}
    problems = {
        f"{path}: {variable.name} is {variable.argument!r} here and {known[variable.name]!r} in the settings"
        for path, text in file.texts()
        for variable in variables(text)
        if variable.operator == ":-" and known.get(variable.name, variable.argument) != variable.argument
    }
    used = defaultdict[str, set[str]](set)
    for _, text in file.texts():
        for variable in variables(text):
            if variable.operator == ":-":
                used[variable.name].add(variable.argument)
    for name, value in re.findall(r"^#([A-Z0-9_]+)=(\S*)", env_text(), flags=re.MULTILINE):
        if value not in used[name]:
            problems.add(f"{_WRITER} writes {name}={value!r}, and the default in the file is {sorted(used[name])}")
    return sorted(problems)


def connection_ids(root: Path) -> set[str]:
    """Return the connection ids named in the code of DAGs and orchestration.

    Args:
        root: the checkout.
    """
    trees = [
        ast.parse(path.read_text())
        for folder in ("dags", "include/orchestration")
        for path in sorted((root / folder).glob("*.py"))
    ]
    constants = {name: value for tree in trees for name, value in _constants(tree)}
    found = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        for value in _connection_arguments(node):
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found.add(value.value)
            elif isinstance(value, ast.Name) and value.id in constants:
                found.add(constants[value.id])
    return found


def pipeline_settings() -> dict[str, str]:
    """Map the variable of every library setting to its default as text."""
    return {one.name: one.default for model in MODELS if model is not PlatformSettings for one in settings_of(model)}


def _differing(one: dict[str, str | None], other: dict[str, str | None]) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name, "") != other.get(name, "")}


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value.value


def _connection_arguments(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions given as a connection's id: to a call, or as a parameter's default."""
    if isinstance(node, ast.Call):
        if ast.unparse(node.func).endswith(("Connection.get", "get_connection")):
            yield from node.args[:1]
        for keyword in node.keywords:
            if keyword.arg and keyword.arg.endswith(("conn_id", "connection_id")):
                yield keyword.value
    elif isinstance(node, ast.FunctionDef):
        by_position = [*node.args.posonlyargs, *node.args.args]
        named = by_position[len(by_position) - len(node.args.defaults) :]
        for argument, default in zip(named, node.args.defaults, strict=True):
            if argument.arg.endswith(("conn_id", "connection_id")):
                yield default


def resolved(file: ComposeFile, service: str, values: dict[str, str]) -> dict[str, str]:
    """Return the environment of a service with interpolated values, without passed-on variables that are not set.

    Args:
        file: the Compose file.
        service: its name.
        values: the variables of `.env` and the shell.

    Raises:
        MissingValueError: a required variable is not set.
    """
    environment = file.environment(service)
    passed = {name: values[name] for name, value in environment.items() if value is None and name in values}
    return {name: interpolate(value, values) for name, value in environment.items() if value is not None} | passed

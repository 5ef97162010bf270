"""Checks of what docker-compose.yaml tells the programs: variables, secrets, connections, the names of settings.

What belongs here: the agreement with `include.settings`, `local.settings` and `local.airflow`, so that the embedded
platform and the containers are one and the same to the DAGs. A check returns its problems.
"""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from typing import TYPE_CHECKING

from pydantic import SecretStr
from pydantic_settings import BaseSettings

import include.settings as library
from deploy.env_file import SECRETS, env_text
from deploy.interpolation import interpolate, variables
from deploy.start import made_variables
from local import airflow as embedded_airflow
from local.credentials import Credentials
from local.settings import PlatformSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deploy.compose_file import ComposeFile

WORKER = "airflow-worker"
_SECRET_NAME = re.compile(r"(PASSWORD|PASS|SECRET|SECRET_KEY|_KEY|TOKEN)$|PASSWORD(?!S?_(FILE|COMPLEXITY))|AUTH$")
_NOT_SECRET = re.compile(r"(_FILE|_URL|_ID)$")
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:([^/@\s]+)@")
# What a JSON text of a connection holds under "password".
_PASSWORD_IN_JSON = re.compile(r'"(?:password|token|secret)":\s*"([^"]*)"')

# What only containers are told.
ONLY_IN_CONTAINERS = {
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER", "AIRFLOW__LOGGING__JSON_LOGS", "AIRFLOW__METRICS__OTEL_ON",
    "AIRFLOW__METRICS__LEGACY_NAMES_ON",
}  # fmt: skip
# Whose default is another one here; docker-compose.yaml says why.
OTHER_DEFAULTS = {"INGEST_MERGE_MEMORY_MB"}
# Of the owner's role: the one-shot that migrates has them, and nobody who runs DAGs.
_OWNERS = {"WAREHOUSE_OWNER_USER", "WAREHOUSE_OWNER_PASSWORD"}


def variables_are_settled(file: ComposeFile) -> list[str]:
    """Every variable has a default or a clear demand; secrets are demanded, and `make env-file` makes each of them."""
    problems, demanded = [], set()
    for place, text in file.texts():
        try:
            found = list(variables(text))
        except ValueError as error:
            problems.append(f"{place}: {error}")
            continue
        for variable in found:
            if variable.operator == ":?":
                demanded.add(variable.name)
                if not variable.argument:
                    problems.append(f"{place}: {variable.name} is demanded without a word what to do")
            elif variable.name in SECRETS:
                problems.append(f"{place}: the secret {variable.name} is not demanded with :?")
            elif not variable.operator.endswith(("-", "+")):
                problems.append(f"{place}: {variable.name} has neither a default nor a demand")
    problems += [f"{name} is demanded, and make env-file does not make it" for name in sorted(demanded - set(SECRETS))]
    problems += [f"make env-file makes {name}, and nothing uses it" for name in sorted(set(SECRETS) - demanded)]
    return problems


def no_secret_is_written(file: ComposeFile) -> list[str]:
    """A password, key or token stands in the file as a variable only."""
    problems = []
    for service in file.services:
        for name, value in file.environment(service).items():
            if value is None:
                continue
            literal = bool(_SECRET_NAME.search(name)) and not _NOT_SECRET.search(name) and not value.startswith("${")
            hidden = _PASSWORD_IN_URL.findall(value) + _PASSWORD_IN_JSON.findall(value)
            if literal or any(part and not part.startswith("${") for part in hidden):
                problems.append(f"{service} is told {name} in plain text")
    for place, text in file.texts():
        if ".environment" not in place and any(not p.startswith("${") for p in _PASSWORD_IN_URL.findall(text)):
            problems.append(f"{place} holds a password in plain text")
    return problems


def owners_password_stays_away(file: ComposeFile) -> list[str]:
    """No part of Airflow that runs DAGs or serves pages has the warehouse owner's password, or a superuser's."""
    forbidden = ("WAREHOUSE_OWNER_PASSWORD", "${POSTGRES_PASSWORD", "MINIO_ROOT_PASSWORD")
    return [
        f"{service} is told {name}, which holds {one.lstrip('${')}"
        for service in file.airflow
        for name, value in file.environment(service).items()
        for one in forbidden
        if one in f"{name}={value}"
    ]


def connections_are_provided(file: ComposeFile) -> list[str]:
    """Every part of Airflow has every connection that a DAG names."""
    used = connection_ids(file.root)
    problems = [] if used else ["no connection id was found in dags/ and include/orchestration/"]
    for service in file.airflow:
        told = file.environment(service).keys() | made_variables().keys()
        problems += [
            f"{service} is not told the connection {one}"
            for one in sorted(used)
            if f"AIRFLOW_CONN_{one.upper()}" not in told
        ]
    return problems


def embedded_names_are_the_same(file: ComposeFile) -> list[str]:
    """What the embedded platform tells Airflow, the containers tell it too, under the same names."""
    if WORKER not in file.services:
        return [f"there is no {WORKER}"]
    told = file.environment(WORKER)
    nobody = Credentials(**{field.name: "x" for field in fields(Credentials)})
    scaled = PlatformSettings(_env_file=None, airflow_executor="celery")
    embedded = set(embedded_airflow.environment(scaled, nobody))
    pipelines = pipeline_settings()
    given = told.keys() | made_variables().keys()
    problems = [f"{WORKER} is not told {name}, as the embedded one is" for name in sorted(embedded - given)]
    own = {name for name in told if name.startswith(("AIRFLOW__", "AIRFLOW_CONN_"))} - embedded - ONLY_IN_CONTAINERS
    problems += [f"{WORKER} is told {name}, and the embedded one is not" for name in sorted(own)]
    missing = set(pipelines) - _OWNERS - set(told)
    problems += [f"{WORKER} does not pass on the setting {name}" for name in sorted(missing)]
    unknown = {name for name, value in told.items() if value is None} - set(pipelines)
    problems += [f"{WORKER} passes on {name}, which is no setting" for name in sorted(unknown)]
    problems += [
        f"{service} is told other things than {WORKER}: {', '.join(sorted(differing))}"
        for service in file.airflow
        if (differing := _differing(file.environment(service), told) - {"OTEL_SERVICE_NAME"})
    ]
    return problems


def defaults_are_the_same(file: ComposeFile) -> list[str]:
    """A name that both platforms know has one default: in the file, in the settings, and in what env-file says."""
    # An empty default of the embedded platform means one of its own services, whose address is another one here.
    settings = {**pipeline_settings(), **_platform_settings()}
    known = {name: value for name, value in settings.items() if value and name not in OTHER_DEFAULTS}
    problems = {
        f"{place}: {variable.name} is {variable.argument!r} here and {known[variable.name]!r} in the settings"
        for place, text in file.texts()
        for variable in variables(text)
        if variable.operator == ":-" and known.get(variable.name, variable.argument) != variable.argument
    }
    used = {
        variable.name: variable.argument
        for _, text in file.texts()
        for variable in variables(text)
        if variable.operator == ":-"
    }
    for name, value in re.findall(r"^#([A-Z0-9_]+)=(\S*)", env_text(), flags=re.MULTILINE):
        if used.get(name) != value:
            problems.add(f"make env-file says that {name} is {value!r}, and the file says {used.get(name)!r}")
    return sorted(problems)


def connection_ids(root: Path) -> set[str]:
    """The connections that DAGs and what they call name, read from the code itself.

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
    """Every setting of the library by the name of its variable, with its default as text."""
    classes = [
        one
        for one in vars(library).values()
        if isinstance(one, type) and issubclass(one, BaseSettings) and one is not BaseSettings
    ]
    return {name: default for one in classes for name, default in _named(one)}


def _platform_settings() -> dict[str, str]:
    return dict(_named(PlatformSettings))


def _named(settings: type[BaseSettings]) -> Iterator[tuple[str, str]]:
    prefix = settings.model_config.get("env_prefix", "")
    for name, field in settings.model_fields.items():
        alias = field.validation_alias
        default = field.get_default(call_default_factory=True, validated_data={})
        text = default.get_secret_value() if isinstance(default, SecretStr) else default
        yield (alias if isinstance(alias, str) else f"{prefix}{name}".upper()), "" if text is None else str(text)


def _differing(one: dict[str, str | None], other: dict[str, str | None]) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name, "") != other.get(name, "")}


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value.value


def _connection_arguments(node: ast.AST) -> Iterator[ast.expr]:
    """What is given as a connection's id: to a call, or as a parameter's default."""
    if isinstance(node, ast.Call):
        if ast.unparse(node.func).endswith(("Connection.get", "get_connection")):
            yield from node.args[:1]
        for keyword in node.keywords:
            if keyword.arg and keyword.arg.endswith(("conn_id", "connection_id")):
                yield keyword.value
    elif isinstance(node, ast.FunctionDef):
        named = node.args.args[len(node.args.args) - len(node.args.defaults) :]
        for argument, default in zip(named, node.args.defaults, strict=True):
            if argument.arg.endswith(("conn_id", "connection_id")):
                yield default


def resolved(file: ComposeFile, service: str, values: dict[str, str]) -> dict[str, str]:
    """What a service is told once the variables have values; without what nobody has set.

    Args:
        file: the Compose file.
        service: its name.
        values: of `.env` and the shell.

    Raises:
        MissingValueError: a demanded one is not there.
    """
    told = file.environment(service)
    passed = {name: values[name] for name, value in told.items() if value is None and name in values}
    return {name: interpolate(value, values) for name, value in told.items() if value is not None} | passed

"""The connection of a database source: which server, how to log in, TLS, time zone.

What belongs here: what an Airflow connection must have, and its form in the environment. What does not: opening it
(`postgres`, `mysql`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from include.errors import Code, PermanentError

if TYPE_CHECKING:
    from collections.abc import Mapping

POSTGRES, MYSQL = "postgres", "mysql"
_ENGINES = {"postgres": POSTGRES, "postgresql": POSTGRES, "mysql": MYSQL, "mariadb": MYSQL}
_PORTS = {POSTGRES: 5432, MYSQL: 3306}
# The keys of the extra that begin with ssl; others are refused, so that no one of them is ignored in silence.
_TLS = {POSTGRES: ("sslmode", "sslrootcert", "sslcert", "sslkey"), MYSQL: ("sslmode", "sslrootcert")}
_MODES = {
    POSTGRES: ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    MYSQL: ("disable", "require", "verify-ca", "verify-full"),
}


@dataclass(frozen=True)
class DatabaseConnection:
    """A database and how to log in.

    Attributes:
        name: of the Airflow connection.
        engine: `postgres` or `mysql`.
        database: its name.
        tls: options by name: `sslmode` and paths of certificates.
        time_zone: of times without a zone; None: that of the server's sessions.
    """

    name: str
    engine: str
    host: str
    port: int
    login: str
    password: SecretStr
    database: str
    tls: Mapping[str, str] = field(default_factory=dict)
    time_zone: ZoneInfo | None = None

    @classmethod
    def of(cls, name: str, given: Mapping[str, Any]) -> DatabaseConnection:
        """Build it from the parts of an Airflow connection: `conn_type`, `host`, `port`, `schema`, `extra` and so on.

        Raises:
            PermanentError: a part is missing or cannot be used.
        """
        engine = _ENGINES.get(str(given.get("conn_type") or "").lower())
        if engine is None:
            raise _unusable(name, f"is of the type {given.get('conn_type')!r}", "choose postgres or mysql")
        host, database = str(given.get("host") or "").strip(), str(given.get("schema") or "").strip()
        if not host or not database:
            raise _unusable(name, f"has no {'database (schema)' if host else 'host'}", "add it")
        extra = given.get("extra") or {}
        return cls(
            name,
            engine,
            host,
            int(given.get("port") or _PORTS[engine]),
            str(given.get("login") or ""),
            SecretStr(str(given.get("password") or "")),
            database,
            _tls(name, engine, extra),
            _zone(name, extra.get("time_zone")),
        )


def parse_connection(text: str) -> dict[str, Any]:
    """The parts of an Airflow connection as the variable AIRFLOW_CONN_<NAME> has them: a URL, or JSON.

    Raises:
        ValueError: it is neither.
    """
    if text.lstrip().startswith("{"):
        given = dict(json.loads(text))
        extra = given.get("extra") or {}
        return given | {"extra": json.loads(extra) if isinstance(extra, str) else extra}
    url = urlsplit(text)
    if not url.scheme:
        raise ValueError("it has no scheme")
    extra = dict(parse_qsl(url.query, keep_blank_values=True))
    extra |= json.loads(extra.pop("__extra__", "{}"))
    return {
        "conn_type": url.scheme,
        "host": unquote(url.hostname or ""),
        "port": url.port,
        "login": unquote(url.username or ""),
        "password": unquote(url.password or ""),
        "schema": unquote(url.path.removeprefix("/")),
        "extra": extra,
    }


def _tls(name: str, engine: str, extra: Mapping[str, Any]) -> dict[str, str]:
    options = {key: str(value) for key, value in extra.items() if key.startswith("ssl") and value not in {None, ""}}
    if unknown := sorted(set(options) - set(_TLS[engine])):
        raise _unusable(name, f"has {', '.join(unknown)} in its extra", f"use only {', '.join(_TLS[engine])}")
    mode = options.get("sslmode")
    if mode is not None and mode not in _MODES[engine]:
        raise _unusable(name, f"has the sslmode {mode!r}", f"write one of {', '.join(_MODES[engine])}")
    return options


def _zone(name: str, zone: object) -> ZoneInfo | None:
    if zone in {None, ""}:
        return None
    try:
        return ZoneInfo(str(zone))
    except (KeyError, ValueError, OSError) as error:
        raise _unusable(name, f"has the time_zone {zone!r}", "write one such as Europe/Berlin") from error


def _unusable(name: str, what: str, remedy: str) -> PermanentError:
    return PermanentError(Code.SOURCE_REFUSED, f"The connection {name} {what}: {remedy}.")

"""The roles, databases and grants of the embedded PostgreSQL as a script for the container's psql.

What belongs here: generating SQL from `local.services.postgres`, the one source for both platforms. The contents of the
warehouse belong to its migrations. `python -m deploy roles` writes deploy/docker/postgres/roles.sql.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from local.credentials import Credentials
from local.services.postgres import (
    COMMON_DATABASES,
    DATABASES,
    ROLE_SETTINGS,
    SCHEMAS,
    SESSIONS,
    role_passwords,
)
from local.settings import REPOSITORY

if TYPE_CHECKING:
    from local.services.postgres import Database

ROLES_SQL = REPOSITORY / "deploy" / "docker" / "postgres" / "roles.sql"

_HEAD = """\
-- Written by `python -m deploy roles` from local/services/postgres.py: change it there. Run by psql at every start.
-- Passwords come from the environment; psql quotes them, and the server's log does not show them.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
"""


def password_variables() -> dict[str, str]:
    """Map every role to the name of the environment variable that holds its password."""
    names = Credentials(**{field.name: field.name.upper() for field in fields(Credentials)})
    return role_passwords(names)


def roles_sql() -> str:
    """Return the whole script. It is idempotent: existing roles and databases get their passwords and grants again."""
    roles = "".join(_role(role, variable) for role, variable in password_variables().items())
    databases = "".join(_database(database) for database in DATABASES)
    closed = "".join(f"REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC;\n" for name in COMMON_DATABASES)
    schemas = "\n".join(
        "".join((f"\\connect {name}\n", *(f"{statement};\n" for statement in statements)))
        for name, statements in SCHEMAS.items()
    )
    return f"{_HEAD}\n{roles}\n{closed}\n{databases}{schemas}"


def _role(role: str, variable: str) -> str:
    settings = ROLE_SETTINGS.get(role, {}).items()
    return (
        f"\\getenv password {variable}\n"
        f"SELECT 'CREATE ROLE {role}' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}')\n\\gexec\n"
        f"ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION"
        f" CONNECTION LIMIT {SESSIONS[role]} PASSWORD :'password';\n"
        "\\unset password\n" + "".join(f"ALTER ROLE {role} SET {name} = '{value}';\n" for name, value in settings)
    )


def _database(database: Database) -> str:
    name, owner = database.name, database.owner
    roles = ", ".join((owner, *database.guests))
    return (
        f"SELECT 'CREATE DATABASE {name} OWNER {owner}'\n"
        f"WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}')\n\\gexec\n"
        f"REVOKE ALL ON DATABASE {name} FROM PUBLIC;\n"
        f"GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {roles};\n\n"
    )

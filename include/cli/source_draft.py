"""`filegate source draft`: a contract for the rows of a database's table."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.cli.drafted_contract import refuse_existing, write_contract
from include.cli.output import WRONG_USAGE, fail
from include.cli.platform_access import connection_variable, use_settings
from include.command_errors import explained
from include.errors import Code, PermanentError, visible
from include.settings import ingest_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.sources.database.columns import TableColumn

_SECONDS = 60.0
_CONNECTION = re.compile(r"source_[a-z0-9_]{1,60}")


def draft(
    connection: Annotated[str, typer.Option(help="The Airflow connection, such as source_crm.")],
    table: Annotated[str, typer.Option(help="The table or view.")],
    schema: Annotated[str, typer.Option(help="Its schema; public, or the connection's database if left out.")] = "",
    dataset: Annotated[str, typer.Option(help="The dataset's name; that of the table if left out.")] = "",
    write: Annotated[bool, typer.Option("--write", help="Write it into the contracts folder.")] = False,
) -> None:
    """Draft the contract of a database's table from its catalogue, and print it. No row is read.

    The connection is the variable AIRFLOW_CONN_SOURCE_<NAME> in the environment or in sources.env.
    """
    from include.contracts.reader import DATASET_NAME
    from include.ingestion.drafting.names import dataset_name
    from include.sources.database.draft import table_contract

    use_settings()
    name = dataset or dataset_name(table)
    if DATASET_NAME.fullmatch(name) is None:
        fail(f"{visible(name)!r} is no name of a dataset; give --dataset", WRONG_USAGE)
    target = ingest_settings().contracts_dir / f"{name}.yaml"
    if write:
        refuse_existing(target)
    relation, columns = _columns(connection, table, schema)
    text = table_contract(name, relation, columns)
    if not write:
        typer.echo(text, nl=False)
        return
    write_contract(text, target)
    typer.echo(f"  filegate contract activate {name}")
    typer.echo(f"Then write sources/{name}.yaml, such as this one, and check it by: filegate source check")
    typer.echo(definition_text(name, connection, TableName(table, schema), columns), nl=False)


@dataclass(frozen=True)
class TableName:
    """A table and its schema; empty: the server's default."""

    table: str
    schema: str = ""


def definition_text(name: str, connection: str, table: TableName, columns: Sequence[TableColumn]) -> str:
    """The YAML of a definition that reads the table every hour, indented.

    It is incremental where the table has a primary key and one column that a draft takes for the time of a change.
    """
    lines = [
        f"name: {name}",
        "kind: database",
        f"connection: {connection}",
        "schedule: '@hourly'",
        f"dataset: {name}",
        *([f"schema: {json.dumps(table.schema, ensure_ascii=False)}"] if table.schema else []),
        f"table: {json.dumps(table.table, ensure_ascii=False)}",
    ]
    from include.sources.database.draft import newest_column

    cursor = newest_column(columns)
    if cursor is not None:
        lines.append(f"incremental: {{cursor: {json.dumps(cursor.name, ensure_ascii=False)}, overlap: 10m}}")
    return "".join(f"  {line}\n" for line in lines)


def _columns(connection: str, table: str, schema: str) -> tuple[str, list[Any]]:
    """The table's name with its schema, and its columns.

    Raises:
        typer.Exit, SystemExit: the connection or the table cannot be used.
    """
    from include.sources.database.connection import DatabaseConnection, parse_connection
    from include.sources.database.definition import DatabaseSource
    from include.sources.database.reading import open_server

    if _CONNECTION.fullmatch(connection) is None:
        fail(f"{visible(connection)!r} is no connection of a source: its name is source_<name>", WRONG_USAGE)
    variable = f"AIRFLOW_CONN_{connection.upper()}"
    given = connection_variable(connection)
    if not given:
        fail(
            f"there is no connection {connection}: set {variable} in the environment or in sources.env, such as "
            "postgres://login:password@host:5432/database or mysql://login:password@host:3306/database"
        )
    source = DatabaseSource.model_validate({
        "name": "draft", "kind": "database", "connection": connection, "schedule": None, "dataset": "draft",
        "table": table, "schema": schema or None,
    })  # fmt: skip
    with explained():
        try:
            parts = parse_connection(given)
        except ValueError:
            raise PermanentError(Code.SOURCE_REFUSED, f"{variable} is neither a URL nor JSON.") from None
        server = open_server(DatabaseConnection.of(connection, parts), _SECONDS)
        try:
            return source.relation, server.columns(source)
        finally:
            server.close()

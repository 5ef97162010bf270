"""The entry of `filegate`: the table of its commands, and how they find the stores.

Exit codes: 0 done; 1 the command failed, or what it looked at is not in order; 2 wrong usage; 3 the platform is not
healthy; 4 a load would be refused; 130 interrupted.
"""

from __future__ import annotations

import importlib

import typer

from include.cli.lazy_group import Command, lazy_group
from include.cli.platform_access import has_platform
from include.command_errors import no_traceback

_FILES, _CONTRACTS, _SOURCES, _STREAMS = "Files", "Contracts and datasets", "Sources", "Streams"
_FEATURES = "Features"
_COMMANDS = (
    Command(_FILES, "files", "include.cli.files:app.files", "the newest files and what became of them"),
    Command(_FILES, "show", "include.cli.files:app.show", "everything the ledger holds of a file"),
    Command(_FILES, "errors", "include.cli.files:app.errors", "why a file's rows were refused"),
    Command(_FILES, "reprocess", "include.cli.files:app.reprocess", "move quarantined files back to incoming/"),
    Command(_FILES, "reload", "include.cli.reload:app", "load archived files of a dataset again"),
    Command(_FILES, "try", "include.cli.trial:app", "what would become of a file, without loading it"),
    Command(
        _FILES,
        "generate",
        "include.cli.samples:app.generate",
        "write a sample file for a dataset",
        reads_settings=True,
    ),
    Command(
        _CONTRACTS,
        "contract",
        "include.cli.contracts:app",
        "draft, check, describe, activate or diff contracts",
        reads_settings=True,
    ),
    Command(_CONTRACTS, "datasets", "include.cli.datasets:app.datasets", "every dataset: contract, table, last file"),
    Command(_CONTRACTS, "check", "include.cli.check:app", "check the tables now; exit code 1 if one is wrong"),
    Command(_CONTRACTS, "remove", "include.cli.remove:app", "remove a dataset: table, ledger entries, files"),
    Command(_CONTRACTS, "lake", "include.cli.lake:app", "read the lakehouse: one query, or a shell"),
    Command(_SOURCES, "sources", "include.cli.sources:app.sources", "every source: dataset, schedule, last run"),
    Command(_SOURCES, "source", "include.cli.sources:source", "check sources, draft contracts", reads_settings=True),
    Command(
        _FEATURES,
        "features",
        "include.cli.features:app",
        "describe, build, fit or sample features for models",
    ),
    Command(_FEATURES, "feast", "include.cli.feast:app", "install Feast, fill and read its online store"),
    Command(_STREAMS, "produce", "include.cli.streams:app.produce", "publish rows as messages", "KAFKA_BOOTSTRAP"),
    Command(
        _STREAMS,
        "replay-dlq",
        "include.cli.streams:app.replay-dlq",
        "publish dead letters again",
        "KAFKA_BOOTSTRAP",
    ),
    Command(
        _STREAMS,
        "schema",
        "include.streams.schema_command:app",
        "a dataset's Avro schema and the registry",
        reads_settings=True,
    ),
)


def commands() -> tuple[Command, ...]:
    """The commands that this installation has."""
    if not has_platform():
        return _COMMANDS
    table: tuple[Command, ...] = importlib.import_module("local.commands").COMMANDS
    return (*table, *_COMMANDS)


def main() -> None:
    """Run the command that the arguments name. Whatever stops it ends as lines on stderr, never as a traceback."""
    with no_traceback():
        _app()(prog_name="filegate")


def _app() -> typer.Typer:
    app = typer.Typer(
        cls=lazy_group(commands()), no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
        help="FileGate: files and messages into PostgreSQL, every refused row explained.",
    )  # fmt: skip
    app.callback()(lambda: None)
    return app

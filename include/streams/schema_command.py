"""`filegate schema`: show a dataset's Avro schema, check it against the registry, register it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from include.command_errors import explained
from include.contracts.catalog import read_catalog
from include.errors import CommandError
from include.settings import ingest_settings, stream_settings
from include.streams.avro_schema import avro_schema, schema_text
from include.streams.registry import Registry, subject_of

if TYPE_CHECKING:
    from include.contracts.model import Contract

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__
)

Dataset = Annotated[str, typer.Argument(help="A dataset that has a contract.")]
Topic = Annotated[str, typer.Option(help="The topic whose values have the schema; named as the dataset if left out.")]


@app.command()
def show(dataset: Dataset) -> None:
    """Print the Avro schema that follows from the contract."""
    with explained():
        typer.echo(json.dumps(avro_schema(_contract(dataset)), ensure_ascii=False, indent=2))


@app.command()
def check(dataset: Dataset, topic: Topic = "") -> None:
    """Check whether the registry would accept the schema; exit 1 with the reasons if not."""
    with explained():
        subject, text = _subject_and_schema(dataset, topic)
        _check(_registry(), subject, text)
    typer.echo(f"{subject}: compatible")


@app.command()
def register(dataset: Dataset, topic: Topic = "") -> None:
    """Check the schema, then register it; print its id and version."""
    with explained():
        subject, text = _subject_and_schema(dataset, topic)
        registry = _registry()
        _check(registry, subject, text)
        schema_id = registry.register(subject, text)
        version = registry.version(subject, text)
    typer.echo(f"{subject}: id {schema_id}, version {version}")


def _subject_and_schema(dataset: str, topic: str) -> tuple[str, str]:
    return subject_of(topic or dataset), schema_text(avro_schema(_contract(dataset)))


def _check(registry: Registry, subject: str, schema: str) -> None:
    compatible, reasons = registry.compatible(subject, schema)
    if not compatible:
        raise CommandError(
            f"{subject}: not compatible with the latest version",
            "change the contract back, or give another --topic",
            tuple(f"- {reason}" for reason in reasons),
        )


def _registry() -> Registry:
    url = stream_settings().schema_registry_url
    if not url:
        raise CommandError("SCHEMA_REGISTRY_URL is not set", "set it to the address of the registry")
    return Registry(url)


def _contract(dataset: str) -> Contract:
    return read_catalog(ingest_settings().contracts_dir).find(dataset, drafts=False)


if __name__ == "__main__":
    app()

"""`filegate schema`: show a dataset's Avro schema, check it against the registry, register it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from include.contracts.catalog import UnknownDatasetError, read_catalog
from include.contracts.problems import ContractError
from include.errors import PipelineError
from include.settings import ingest_settings, stream_settings
from include.streams.avro_schema import avro_schema, schema_text
from include.streams.registry import Registry, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.contracts.model import Contract

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__
)
console = Console(highlight=False, soft_wrap=True, stderr=True)

Dataset = Annotated[str, typer.Argument(help="A dataset that has a contract.")]
Topic = Annotated[str, typer.Option(help="The topic whose values have the schema; named as the dataset if left out.")]


@app.command()
def show(dataset: Dataset) -> None:
    """Print the Avro schema that follows from the contract."""
    typer.echo(json.dumps(avro_schema(_contract(dataset)), ensure_ascii=False, indent=2))


@app.command()
def check(dataset: Dataset, topic: Topic = "") -> None:
    """Check whether the registry would accept the schema; exit 1 with the reasons if not."""
    subject, text = _subject_and_schema(dataset, topic)
    with _in_one_line():
        _check(_registry(), subject, text)
    typer.echo(f"{subject}: compatible")


@app.command()
def register(dataset: Dataset, topic: Topic = "") -> None:
    """Check the schema, then register it; print its id and version."""
    subject, text = _subject_and_schema(dataset, topic)
    with _in_one_line():
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
        _fail(f"{subject}: not compatible with the latest version", *(f"  - {reason}" for reason in reasons))


def _registry() -> Registry:
    url = stream_settings().schema_registry_url
    if not url:
        _fail("SCHEMA_REGISTRY_URL is not set: there is no registry to ask")
    return Registry(url)


def _contract(dataset: str) -> Contract:
    try:
        return read_catalog(ingest_settings().contracts_dir).find(dataset, drafts=False)
    except (ContractError, UnknownDatasetError) as error:
        _fail(str(error))


@contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except PipelineError as error:
        _fail(str(error))


def _fail(*lines: str) -> NoReturn:
    for line in lines:
        console.print(line, style="red", markup=False)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()

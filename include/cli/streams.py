"""`filegate produce` and `filegate replay-dlq`: publish rows, and dead letters again."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from include.cli.contract_lookup import catalog, contract_of_topic, found_in
from include.cli.output import WRONG_USAGE, fail
from include.command_errors import INTERRUPTED, explained
from include.errors import CommandError, visible
from include.samples.writer import Sample, write_sample
from include.settings import KafkaConfig, store_settings, stream_settings
from include.streams import dead_letters
from include.streams.encode import Encoder
from include.streams.produce import RowProducer
from include.streams.registry import Registry, subject_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from include.contracts.model import Contract
    from include.streams.produce import Encode, Produced

_TOPIC_NAME = re.compile(r"(?!\.\.?$)[A-Za-z0-9._-]{1,249}")

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__
)
console = Console(highlight=False, soft_wrap=True, stderr=True)


@app.command()
def produce(
    topic: Annotated[str, typer.Option(help="The topic; created if it is missing. The dataset if left out.")] = "",
    file: Annotated[Path | None, typer.Option(help="A CSV file, also .gz or .zst.")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Number of made-up rows, instead of a file.")] = None,
    dataset: Annotated[str, typer.Option(help="The dataset whose contract is used; the topic's if left out.")] = "",
    rate: Annotated[float, typer.Option(min=0, help="Messages a second; 0 is as fast as possible.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same rows.")] = 1,
    avro: Annotated[bool, typer.Option("--avro", help="Avro with the schema registry instead of JSON.")] = False,
) -> None:
    """Publish the rows of a file, or made-up ones, one message each."""
    topic = topic or dataset
    if not topic or (file is None) == (rows is None):
        fail("give --topic, and one of --file and --rows", WRONG_USAGE)
    if not _TOPIC_NAME.fullmatch(topic):
        fail(f"'{visible(topic)}' is no topic's name: up to 249 of the letters a-z, A-Z, 0-9, '.', '_' and '-'")
    with _explained():
        contract = _contract(dataset, topic)
        config, partitions = _config(), stream_settings().partitions
        encode = _avro(contract, topic) if avro else None
        with _bar(f"to {topic}", rows) as advance:
            producer = RowProducer(config, topic, contract, partitions, rate, encode, advance)
            if file is not None:
                done = producer.produce_file(file)
            else:
                assert rows is not None  # noqa: S101 - checked above
                done = produce_sample(producer, rows, seed)
    typer.echo(f"{topic}: {done.messages:,} messages in {done.seconds:.1f} s ({done.per_second:,.0f} a second)")


@app.command()
def replay_dlq(
    topic: Annotated[str, typer.Option(help="The topic whose dead letters are published to it again.")],
    limit: Annotated[int | None, typer.Option(min=1, help="The largest number to replay.")] = None,
) -> None:
    """Publish the dead letters of a topic to it again: those that are there now, each once."""
    with _explained(), _bar(f"to {topic}", limit) as advance:
        count = dead_letters.replay(_config(), topic, limit=limit, on_progress=advance)
    typer.echo(f"{topic}: {count:,} dead letters replayed from {dead_letters.dead_letter_topic(topic)}")


def produce_sample(producer: RowProducer, rows: int, seed: int = 1) -> Produced:
    """Publish made-up rows that satisfy the producer's contract, the same ones for the same seed."""
    with TemporaryDirectory(prefix="produce-") as folder:
        path = Path(folder) / f"{producer.contract.dataset}.csv"
        write_sample(Sample(producer.contract, rows, seed=seed), path)
        return producer.produce_file(path)


def _config() -> KafkaConfig:
    return KafkaConfig(bootstrap_servers=store_settings().kafka_bootstrap)


def _contract(dataset: str, topic: str) -> Contract:
    """The dataset's contract, or without a dataset the one with the topic. A broken contract is an error."""
    contracts = catalog()
    return found_in(contracts, dataset, drafts=False) if dataset else contract_of_topic(contracts, topic)


def _avro(contract: Contract, topic: str) -> Encode:
    url = stream_settings().schema_registry_url
    if not url:
        raise CommandError(
            "SCHEMA_REGISTRY_URL is not set, which --avro needs", "set it to the address of the registry"
        )
    return Encoder(Registry(url), subject_of(topic), contract).encode


@contextmanager
def _bar(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; no output elsewhere."""
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def _explained() -> Iterator[None]:
    """As for all commands, and what an interruption leaves behind."""
    try:
        with explained():
            yield
    except SystemExit as end:
        if end.code == INTERRUPTED:
            typer.echo("acknowledged messages stay in the topic", err=True)
        raise

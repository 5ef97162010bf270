"""`filegate produce` and `filegate replay-dlq`: publish rows, and dead letters again."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from include.contracts.catalog import UnknownDatasetError, read_catalog
from include.errors import PipelineError, visible
from include.samples.writer import Sample, write_sample
from include.settings import KafkaConfig, ingest_settings, store_settings, stream_settings
from include.streams import dead_letters
from include.streams.encode import Encoder
from include.streams.produce import RowProducer
from include.streams.registry import Registry, subject_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from include.contracts.model import Contract
    from include.streams.produce import Encode, Produced

INTERRUPTED = 130

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
        _fail("give --topic, and one of --file and --rows")
    if not _TOPIC_NAME.fullmatch(topic):
        _fail(f"'{visible(topic)}' is no topic's name: up to 249 of the letters a-z, A-Z, 0-9, '.', '_' and '-'")
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
    catalog = read_catalog(ingest_settings().contracts_dir)
    if dataset or any(error.file.stem == topic for error in catalog.broken):
        try:
            return catalog.find(dataset or topic, drafts=False)
        except UnknownDatasetError as error:
            _fail(str(error))
    contracts = catalog.contracts
    found = next((contract for contract in contracts.values() if contract.topic == topic), contracts.get(topic))
    if found is None:
        topics = ", ".join(sorted(contract.topic for contract in contracts.values() if contract.topic))
        _fail(
            f"no contract has the topic '{topic}', so nothing reads it; topics of contracts: {topics}. "
            f"To publish there all the same give --dataset, one of: {', '.join(sorted(contracts))}"
        )
    return found


def _avro(contract: Contract, topic: str) -> Encode:
    url = stream_settings().schema_registry_url
    if not url:
        _fail("SCHEMA_REGISTRY_URL is not set: there is no registry for --avro")
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
    """Turn an error of a command into one line on stderr and an exit code."""
    try:
        yield
    except PipelineError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        console.print("interrupted: acknowledged messages stay in the topic", markup=False)
        raise typer.Exit(INTERRUPTED) from None


def _fail(message: str) -> NoReturn:
    console.print(message, style="red", markup=False)
    raise typer.Exit(1)

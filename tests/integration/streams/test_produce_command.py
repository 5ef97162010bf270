"""`filegate produce` and `replay-dlq` against the real broker."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from real_broker import contents
from typer.testing import CliRunner

from include.cli.streams import app
from include.errors import Code
from include.settings import store_settings
from include.streams import broker as broker_module
from include.streams.broker import ensure_topic
from include.streams.dead_letters import DeadLetter, publish
from include.streams.messages import Message
from include.streams.produce import RowProducer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from real_broker import Broker


pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def address(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", broker.config.bootstrap_servers)
    store_settings.cache_clear()
    yield
    store_settings.cache_clear()


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_file_becomes_a_message_a_row(broker: Broker, topic: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("sale_id,quantity,product\n" + "".join(f"S{n},{n},\n" for n in range(1000)))
    output = run("produce", "--topic", topic, "--dataset", "sales", "--file", str(file))
    assert re.fullmatch(rf"{topic}: 1,000 messages in [\d.]+ s \([\d,]+ a second\)\n", output)
    found = sorted(contents(broker, topic), key=lambda message: int((message.key or b"")[1:]))
    assert [message.key for message in found] == [f"S{n}".encode() for n in range(1000)]
    assert json.loads(found[7].value or b"") == {"sale_id": "S7", "quantity": 7, "product": None}


def test_made_up_rows_are_the_same_for_the_same_seed(broker: Broker, topic: str) -> None:
    found = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        run("produce", "--topic", f"{topic}-{name}", "--dataset", "sales", "--rows", "50", "--seed", seed)
        found.append(sorted(message.value or b"" for message in contents(broker, f"{topic}-{name}")))
    assert len(found[0]) == 50
    assert found[0] == found[1] != found[2]


def test_another_encoder_gets_the_row_with_exact_numbers(broker: Broker, topic: str, tmp_path: Path) -> None:
    from include.contracts.reader import read_contract
    from include.settings import CONTRACTS_DIR

    file = tmp_path / "rows.csv"
    file.write_text("sale_id,amount\nS1,1.10\n")
    contract = read_contract(CONTRACTS_DIR / "sales.yaml")
    amount = next(column.name for column in contract.columns if column.type.has_scale)
    file.write_text(f"sale_id,{amount}\nS1,1.10\n")
    producer = RowProducer(
        broker.config, topic, contract, partitions=1, rate=1000, encode=lambda row: repr(row).encode()
    )
    producer.produce_file(file)
    (message,) = contents(broker, topic)
    assert message.value == f"{{'sale_id': 'S1', '{amount}': Decimal('1.10')}}".encode()


def test_dead_letters_are_replayed(broker: Broker, topic: str) -> None:
    ensure_topic(broker.config, topic, 1)
    message = Message(topic, 0, 0, 0, None, b"{")
    publish(broker.config, [DeadLetter(message, Code.BAD_ROW_JSON, "Not JSON.", "validate")] * 3)
    assert run("replay-dlq", "--topic", topic, "--limit", "1").startswith(f"{topic}: 1 dead letters replayed")
    assert run("replay-dlq", "--topic", topic).startswith(f"{topic}: 2 dead letters replayed")
    assert len(contents(broker, topic)) == 3


def test_without_a_broker_the_command_fails_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "METADATA_SECONDS", 0.5)
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "127.0.0.1:1")
    store_settings.cache_clear()
    result = CliRunner().invoke(app, ["produce", "--topic", "sales", "--rows", "1"])
    assert result.exit_code == 1
    assert "KAFKA_BOOTSTRAP" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("replay-dlq", "--topic", "nonsense"), "There is no topic nonsense and no nonsense.dlq."),
        (("replay-dlq", "--topic", "known-topci"), "Did you mean known-topic?"),
        (("produce", "--topic", "nonsense", "--rows", "5"), "no contract has the topic 'nonsense'"),
        (("produce", "--topic", "nonsense", "--file", "FILE"), "no contract has the topic 'nonsense'"),
        (("produce", "--topic", "nonsense", "--dataset", "nonsense", "--rows", "5"), "no contract for 'nonsense'"),
        (("produce", "--topic", "no topic", "--dataset", "sales", "--rows", "5"), "'no topic' is no topic's name"),
        (("produce", "--topic", "..", "--dataset", "sales", "--rows", "5"), "'..' is no topic's name"),
        (("produce", "--topic", "x" * 250, "--dataset", "sales", "--rows", "5"), "is no topic's name"),
        (("produce", "--topic", "sales", "--file", "/nowhere.csv"), "there is no such file"),
        (("produce", "--topic", "sales", "--file", "/"), "there is no such file"),
        (("produce", "--topic", "sales"), "give --topic, and one of --file and --rows"),
    ],
    ids=[
        "replay of no topic", "replay of a mistyped topic",
        "rows to no topic", "file to no topic", "no dataset", "blanks in the name", "dots",
        "long name", "no file", "a directory", "neither file nor rows",
    ],
)  # fmt: skip
def test_wrong_arguments_are_one_line_and_create_no_topic(
    broker: Broker, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("id\n1\n")
    ensure_topic(broker.config, "known-topic", 1)
    before = broker.topics()
    result = CliRunner().invoke(app, [str(file) if one == "FILE" else one for one in arguments])
    assert result.exit_code == (2 if message.startswith("give ") else 1)
    assert result.output.startswith("error: ")
    assert message in result.output
    assert len(result.output.splitlines()) == 1
    assert broker.topics() == before


def test_topic_of_a_contract_with_another_name_is_known(
    broker: Broker, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from include.settings import CONTRACTS_DIR, ingest_settings

    (tmp_path / "transactions.yaml").write_text(
        (CONTRACTS_DIR / "transactions.yaml").read_text().replace("topic: transactions", f"topic: {topic}")
    )
    monkeypatch.setenv("INGEST_CONTRACTS_DIR", str(tmp_path))
    ingest_settings.cache_clear()
    try:
        run("produce", "--topic", topic, "--rows", "5")
    finally:
        ingest_settings.cache_clear()
    assert len(contents(broker, topic)) == 5

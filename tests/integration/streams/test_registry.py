"""The registry's client, the decoder and the commands against a registry that answers over HTTP."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from registry_server import Mode, RegistryServer, registry_server
from typer.testing import CliRunner

from include.contracts.model import Column, ColumnType, Contract
from include.contracts.reader import read_contract
from include.errors import Code, PermanentError, RetryableError
from include.settings import CONTRACTS_DIR, stream_settings
from include.streams import schema_command
from include.streams.avro_schema import avro_schema, schema_text
from include.streams.decode import Decoder, UndecodableError
from include.streams.encode import Encoder
from include.streams.registry import POLICY, Registry, subject_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

SALES = read_contract(CONTRACTS_DIR / "sales.yaml")
SALE = {
    "sale_id": "S1", "sale_date": "2026-01-31", "customer_id": "C1", "product": "Lamp", "category": "Toys",
    "quantity": "2", "unit_price": "19.99", "total_amount": "39.98", "updated_at": "2026-01-31T18:25:43+01:00",
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with registry_server() as running:
        yield running


@pytest.fixture
def registry(server: RegistryServer) -> Registry:
    return impatient(server.url)


def impatient(url: str, seconds: float = 1.0, attempts: int = 3) -> Registry:
    policy = replace(POLICY, read_seconds=seconds, attempts=attempts, backoff_seconds=0.001, backoff_max_seconds=0.001)
    return Registry(url, policy)


def text_of(contract: Contract) -> str:
    return schema_text(avro_schema(contract))


def changed(*, add: Column | None = None, drop: str = "", **replaced: Column) -> Contract:
    columns = [replaced.get(column.name, column) for column in SALES.columns if column.name != drop]
    return replace(SALES, columns=(*columns, *([add] if add else [])))


def envelope(schema_id: int, body: bytes = b"") -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + body


# Registering and looking up


def test_registered_schema_is_found_by_id_and_requested_once(server: RegistryServer, registry: Registry) -> None:
    schema_id = registry.register("sales-value", text_of(SALES))
    assert registry.register("sales-value", text_of(SALES)) == schema_id
    assert registry.version("sales-value", text_of(SALES)) == 1
    fresh = impatient(server.url)
    found = [fresh.schema_of(schema_id) for _ in range(3)]
    assert found[0] is not None
    assert (found[0].kind, found[0].text, found[0].has_references) == ("AVRO", text_of(SALES), False)
    assert found == [found[0]] * 3
    assert server.requests.count(f"GET /schemas/ids/{schema_id}") == 1


def test_missing_schema_is_none_and_no_error(registry: Registry) -> None:
    assert registry.schema_of(4711) is None
    assert registry.version("sales-value", text_of(SALES)) is None
    assert registry.compatible("sales-value", text_of(SALES)) == (True, [])


@pytest.mark.parametrize(
    ("contract", "compatible"),
    [
        pytest.param(SALES, True, id="same"),
        pytest.param(changed(add=Column("till", ColumnType.TEXT)), True, id="optional column added"),
        pytest.param(changed(add=Column("till", ColumnType.TEXT, required=True)), False, id="required column added"),
        pytest.param(changed(drop="region"), True, id="column dropped"),
        pytest.param(changed(quantity=Column("quantity", ColumnType.TEXT, required=True)), False, id="type changed"),
        pytest.param(changed(quantity=Column("quantity", ColumnType.INTEGER)), True, id="no longer required"),
        pytest.param(
            changed(region=Column("region", ColumnType.TEXT, required=True)), False, id="required from now on"
        ),
    ],
)
def test_compatibility_follows_the_contracts_change(registry: Registry, contract: Contract, compatible: bool) -> None:
    registry.register("sales-value", text_of(SALES))
    verdict, reasons = registry.compatible("sales-value", text_of(contract))
    assert verdict is compatible
    assert bool(reasons) is not compatible
    if compatible:
        assert registry.register("sales-value", text_of(contract))
    else:
        with pytest.raises(PermanentError, match="not compatible") as caught:
            registry.register("sales-value", text_of(contract))
        assert caught.value.code is Code.CONTRACT_INVALID


def test_broken_schema_is_a_permanent_error(registry: Registry) -> None:
    with pytest.raises(PermanentError, match="broken") as caught:
        registry.register("sales-value", '{"type": "recrod"}')
    assert caught.value.code is Code.CONTRACT_INVALID


# Failures

CALLS: list[Any] = [
    pytest.param(lambda registry: registry.schema_of(1), id="schema_of"),
    pytest.param(lambda registry: registry.compatible("s", '"string"'), id="compatible"),
    pytest.param(lambda registry: registry.register("s", '"string"'), id="register"),
    pytest.param(lambda registry: registry.version("s", '"string"'), id="version"),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("mode", [Mode.BROKEN, Mode.HUNG_UP, Mode.SLOW])
def test_failure_of_the_registry_is_retryable(
    server: RegistryServer, mode: Mode, call: Callable[[Registry], Any]
) -> None:
    server.mode, server.delay_seconds = mode, 2.0
    with pytest.raises(RetryableError) as caught:
        call(impatient(server.url, seconds=1.0 if mode is Mode.SLOW else 60.0, attempts=2))
    assert caught.value.code is Code.REGISTRY_UNAVAILABLE
    assert caught.value.stage == ""
    assert len(server.requests) == 2


def test_registry_that_is_down_is_retryable() -> None:
    with registry_server() as gone:
        pass
    with pytest.raises(RetryableError, match="did not return a valid response") as caught:
        impatient(gone.url).schema_of(1)
    assert caught.value.code is Code.REGISTRY_UNAVAILABLE


@pytest.mark.parametrize("mode", [Mode.BROKEN, Mode.HUNG_UP])
def test_request_is_retried_until_the_registry_answers(server: RegistryServer, registry: Registry, mode: Mode) -> None:
    schema_id = server.put(text_of(SALES))
    server.mode, server.failures_left = mode, 2
    found = registry.schema_of(schema_id)
    assert found is not None
    assert found.text == text_of(SALES)
    assert len(server.requests) == 3


@pytest.mark.parametrize("first", [True, False], ids=["the first is away", "the second is away"])
def test_another_address_is_asked_when_one_does_not_answer(server: RegistryServer, first: bool) -> None:
    with registry_server() as gone:
        pass
    schema_id = server.put(text_of(SALES))
    server.credentials = "reader:word"
    addresses = [gone.url.replace("//", "//reader:word@"), server.url]
    found = impatient(", ".join(addresses if first else reversed(addresses))).schema_of(schema_id)
    assert found is not None
    assert found.text == text_of(SALES)


def test_retry_after_of_the_registry_is_waited_for(server: RegistryServer, registry: Registry) -> None:
    schema_id = server.put(text_of(SALES))
    server.mode, server.failures_left = Mode.BUSY, 1
    begun = time.monotonic()
    assert registry.schema_of(schema_id) is not None
    assert time.monotonic() - begun >= 1.0
    assert len(server.requests) == 2


@pytest.mark.parametrize("path", ["", "/registry"], ids=["a web page", "nothing there"])
def test_server_that_is_no_registry_is_refused(server: RegistryServer, path: str) -> None:
    server.mode = Mode.UP if path else Mode.NO_REGISTRY
    with pytest.raises(PermanentError, match="is no schema registry"):
        impatient(server.url + path).schema_of(1)


def test_credentials_are_sent_and_never_shown(server: RegistryServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.credentials = "reader:p@ss word"
    address = server.url.replace("//", "//reader:p%40ss%20word@")
    registry = impatient(address)
    assert registry.schema_of(1) is None
    wrong = impatient(address.replace("p%40ss", "wr0ng"))
    with pytest.raises(PermanentError, match="Check user, password") as caught:
        wrong.schema_of(1)
    server.mode = Mode.BROKEN
    with pytest.raises(RetryableError) as away:
        registry.schema_of(2)
    shown = caplog.text + str(caught.value) + str(away.value) + repr(vars(registry))
    assert server.url in shown
    assert not [secret for secret in ("p%40ss", "p@ss", "wr0ng", "reader") if secret in shown]


@pytest.mark.parametrize("url", ["here", "ftp://127.0.0.1", "http://", "http://[::1", "http://secret@"])
def test_invalid_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(PermanentError, match="SCHEMA_REGISTRY_URL must be an address") as caught:
        Registry(url)
    assert "secret" not in str(caught.value)


# Messages


def test_encoded_row_is_decoded_by_the_registrys_schema(server: RegistryServer, registry: Registry) -> None:
    encoder = Encoder(registry, subject_of("sales"), SALES)
    message = encoder.encode(SALE)
    assert message[:5] == envelope(encoder.schema_id)
    decoder = Decoder(impatient(server.url))
    rows = [json.loads(decoder.decode(message)) for _ in range(3)]
    assert rows[0] == SALE | {
        "quantity": 2, "customer_name": None, "region": None, "updated_at": "2026-01-31T17:25:43+00:00"
    }  # fmt: skip
    assert rows == [rows[0]] * 3
    assert server.requests.count(f"GET /schemas/ids/{encoder.schema_id}") == 1


def test_batch_of_old_and_new_versions_keeps_the_fields_of_each(registry: Registry) -> None:
    old = Encoder(registry, "sales-value", SALES)
    new = Encoder(registry, "sales-value", changed(add=Column("till", ColumnType.TEXT)))
    lines, errors = Decoder(registry).decode_batch([old.encode(SALE), new.encode(SALE | {"till": "T7"}), b"{}"])
    assert errors == {}
    assert [json.loads(line).get("till", "not sent") for line in lines] == ["not sent", "T7", "not sent"]


def test_encoder_does_not_start_with_an_incompatible_schema(registry: Registry) -> None:
    Encoder(registry, "sales-value", SALES)
    with pytest.raises(PermanentError, match="not compatible"):
        Encoder(registry, "sales-value", changed(add=Column("till", ColumnType.TEXT, required=True)))


def test_unknown_id_is_requested_once_a_batch_and_again_in_the_next(server: RegistryServer, registry: Registry) -> None:
    decoder = Decoder(registry)
    lines, errors = decoder.decode_batch([envelope(1, b"\x02a")] * 50)
    assert lines == [b"null"] * 50
    assert {(error.code, error.message) for error in errors.values()} == {
        (Code.UNKNOWN_SCHEMA, "The registry has no schema with id 1.")
    }
    assert len(server.requests) == 1
    server.put('{"type": "record", "name": "r", "fields": [{"name": "t", "type": "string"}]}')
    assert decoder.decode_batch([envelope(1, b"\x02a")]) == ([b'{"t":"a"}'], {})


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        pytest.param("JSON", '{"type": "object"}', "is of type JSON, not Avro", id="json schema"),
        pytest.param("AVRO", '"string"', "is of type string; a record is expected", id="no record"),
    ],
)
def test_schema_that_is_no_avro_record_is_refused(
    server: RegistryServer, registry: Registry, kind: str, text: str, message: str
) -> None:
    schema_id = server.put(text, kind)
    with pytest.raises(UndecodableError, match=message) as caught:
        Decoder(registry).decode(envelope(schema_id, b"\x02a"))
    assert caught.value.code is Code.BAD_AVRO


def test_batch_stops_when_the_registry_is_down(server: RegistryServer, registry: Registry) -> None:
    server.mode = Mode.BROKEN
    with pytest.raises(RetryableError):
        Decoder(registry).decode_batch([b"{}", envelope(1)])


# Commands


@pytest.fixture
def command(server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", server.url)
    stream_settings.cache_clear()
    monkeypatch.setattr(schema_command, "Registry", impatient)
    yield lambda *arguments: CliRunner().invoke(schema_command.app, list(arguments))
    stream_settings.cache_clear()


def test_register_prints_id_and_version_and_check_agrees(server: RegistryServer, command: Callable[..., Any]) -> None:
    first = command("register", "sales", "--topic", "till-sales")
    assert (first.exit_code, first.output) == (0, "till-sales-value: id 1, version 1\n")
    assert command("register", "sales", "--topic", "till-sales").output == first.output
    assert command("check", "sales", "--topic", "till-sales").output == "till-sales-value: compatible\n"
    assert list(server.subjects) == ["till-sales-value"]
    assert json.loads(server.schemas[1]["schema"]) == avro_schema(SALES)


@pytest.mark.parametrize("action", ["check", "register"])
def test_incompatible_contract_fails_with_reasons(
    server: RegistryServer, command: Callable[..., Any], action: str
) -> None:
    server.put(text_of(changed(drop="customer_id")), subject="sales-value")
    result = command(action, "sales")
    assert result.exit_code == 1
    assert "\nerror: sales-value: not compatible with the latest version: change the contract back" in result.output
    assert "reader_field_missing_default_value at /fields/2: customer_id" in result.output
    assert len(server.subjects["sales-value"]) == 1


@pytest.mark.parametrize("action", ["check", "register"])
def test_failure_of_the_registry_is_one_line(server: RegistryServer, command: Callable[..., Any], action: str) -> None:
    server.mode = Mode.BROKEN
    result = command(action, "sales")
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "registry-unavailable" in result.output

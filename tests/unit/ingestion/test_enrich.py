"""Stage 2 of an enriched dataset: which rows are sent to the other system, and that each gets its own value."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest

from include.contracts.model import Column, ColumnType, Contract, Enrichment
from include.errors import Code, RetryableError
from include.ingestion.enrich import Enricher
from include.settings import MlServiceSettings
from include.stores.ml_service import MlService

pytestmark = pytest.mark.unit

COLUMNS = (
    Column("id", ColumnType.UUID, required=True),
    Column("description", ColumnType.TEXT),
    Column("amount", ColumnType.NUMBER, precision=14, scale=2),
    Column("timestamp", ColumnType.TIMESTAMPTZ),
    Column("merchant", ColumnType.TEXT),
    Column("operation_type", ColumnType.TEXT),
    Column("side", ColumnType.TEXT, allowed=("debit", "credit")),
    Column("category", ColumnType.TEXT, enriched=Enrichment.TRANSACTION_CATEGORY),
)
HEADER = "id,description,amount,timestamp,merchant,operation_type,side\n"


@dataclass
class Asked:
    """Replaces the enricher, and gives a value made of the row's own id."""

    failure: Exception | None = None
    batches: list[list[str]] = field(default_factory=list)

    def values(self, _: Enrichment, rows: pa.RecordBatch) -> Sequence[str]:
        if self.failure:
            raise self.failure
        self.batches.append(rows.column("id").to_pylist())
        return [f"of {one}" for one in self.batches[-1]]


def uuid(number: int) -> str:
    return str(UUID(int=number))


def line(number: int, time: str = "08:00", side: str = "debit", description: str = "x") -> str:
    return f"{uuid(number)},{description},1.50,2026-03-01T{time}:00Z,,card,{side}\n"


@pytest.fixture
def transactions(contract_of) -> Contract:
    return contract_of(*COLUMNS, newest_by="timestamp")


def enriched(stages, contract: Contract, lines: list[str], asked: Asked) -> list[dict]:
    """The rows that load would copy, in the order of the file."""
    validated = stages.validate(contract, (HEADER + "".join(lines)).encode())
    plan = stages.plan(contract, validated, asked)
    with duckdb.connect() as connection:
        rows = " UNION ALL ".join(f"({select})" for select in plan.selects)
        return connection.execute(f"SELECT * FROM ({rows}) ORDER BY _source_row").to_arrow_table().to_pylist()


def test_each_row_gets_its_own_value_over_many_record_batches(stages, transactions: Contract) -> None:
    asked = Asked()
    rows = enriched(stages, transactions, [line(number * 7919 % 50_000) for number in range(50_000)], asked)
    assert len(asked.batches) > 2
    assert [row["id"] for row in rows] == [uuid(number * 7919 % 50_000) for number in range(50_000)]
    assert [row["category"] for row in rows] == [f"of {row['id']}" for row in rows]


def test_refused_and_superseded_rows_are_not_sent_to_the_service(stages, transactions: Contract) -> None:
    asked = Asked()
    lines = [line(1), line(2, side="sideways"), line(1, "09:00"), line(3), line(3, "07:00"), "nothing\n"]
    rows = enriched(stages, transactions, lines, asked)
    assert sorted(one for batch in asked.batches for one in batch) == [uuid(1), uuid(3)]
    assert [(row["id"], row["_source_row"]) for row in rows] == [(uuid(1), 3), (uuid(3), 4)]


def test_service_is_not_called_if_no_row_is_left(stages, transactions: Contract) -> None:
    asked = Asked()
    assert enriched(stages, transactions, [line(1, side="sideways")], asked) == []
    assert asked.batches == []


def test_values_of_the_row_reach_the_service_cleaned_and_typed(
    stages, transactions: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict] = []

    def categories(_: MlService, rows: Sequence[dict]) -> list[str]:
        sent.extend(rows)
        return ["housing"] * len(rows)

    monkeypatch.setattr(MlService, "categories", categories)
    enricher = Enricher(MlServiceSettings(url="http://127.0.0.1:9"))
    (row,) = enriched(stages, transactions, [line(0xAB, description="Rent").replace("ab,", "AB,")], enricher)
    enricher.close()
    assert row["category"] == "housing"
    assert list(sent[0]) == ["id", "description", "amount", "timestamp", "merchant", "operation_type", "side"]
    assert {name: str(value) for name, value in sent[0].items()} == {
        "id": uuid(0xAB),
        "description": "Rent",
        "amount": "1.50",
        "timestamp": "2026-03-01 08:00:00+00:00",
        "merchant": "None",
        "operation_type": "card",
        "side": "debit",
    }


def test_failure_of_the_service_ends_the_stage(stages, transactions: Contract) -> None:
    failure = RetryableError(Code.SERVICE_UNAVAILABLE, "The ML service did not answer.")
    with pytest.raises(RetryableError) as caught:
        enriched(stages, transactions, [line(1)], Asked(failure))
    assert caught.value is failure


def test_too_few_values_from_the_service_raise_an_error(stages, transactions: Contract) -> None:
    class Forgetful(Asked):
        def values(self, kind: Enrichment, rows: pa.RecordBatch) -> Sequence[str]:
            return super().values(kind, rows)[1:]

    with pytest.raises(ValueError, match="not all the same length"):
        enriched(stages, transactions, [line(1), line(2)], Forgetful())


def test_service_is_connected_once_with_the_first_request(
    monkeypatch: pytest.MonkeyPatch, transactions: Contract
) -> None:
    made, closed = [], []

    class Service(MlService):
        def __init__(self, settings: MlServiceSettings) -> None:
            super().__init__(settings)
            made.append(settings.url)

        def categories(self, transactions: Sequence[dict]) -> list[str]:
            return ["income"] * len(transactions)

        def close(self) -> None:
            closed.append(self)
            super().close()

    monkeypatch.setattr("include.ingestion.enrich.MlService", Service)
    enricher = Enricher(MlServiceSettings(url="http://127.0.0.1:9"))
    assert made == []
    names = [one.name for one in transactions.source_columns]
    rows = pa.RecordBatch.from_arrays([pa.array(["x"])] * len(names), names=names)
    for _ in range(2):
        assert enricher.values(Enrichment.TRANSACTION_CATEGORY, rows) == ["income"]
    enricher.close()
    assert (len(made), len(closed)) == (1, 1)

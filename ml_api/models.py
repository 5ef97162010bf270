"""Requests and answers of `/predict` and `/health`, with the examples of the documentation.

Commits are in `ml_api.commit_models`. Requests are Pydantic models, because they are validated. Answers are typed
dictionaries, which need no validation.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, with_config
from typing_extensions import TypedDict

from ml_api.categories import Category, category_of

if TYPE_CHECKING:
    from pydantic.config import JsonDict

MAX_BATCH = 1000

OperationType = Literal["card", "transfer", "direct_debit", "cash", "fee", "refund"]
Side = Literal["debit", "credit"]

_IDS = ("7f0c2b9e-5a3d-4e52-9a0f-0f6d3c1b8a11", "c56a4180-65aa-42ec-a945-5fd21dec0538")
_CARD: JsonDict = {
    "id": _IDS[0],
    "description": "CARD 4411 CORNER SHOP 12",
    "amount": "23.40",
    "timestamp": "2026-03-01T12:30:00+00:00",
    "merchant": "Corner Shop",
    "operation_type": "card",
    "side": "debit",
}
_TRANSFER: JsonDict = {
    "id": _IDS[1],
    "description": "Salary March",
    "amount": 3150,
    "timestamp": "2026-03-01T06:00:00+01:00",
    "merchant": None,
    "operation_type": "transfer",
    "side": "credit",
}
_ANSWERS: list[JsonDict] = [{"id": name, "category": category_of(UUID(name))} for name in _IDS]


class Transaction(BaseModel):
    """One movement on an account. Fields that are not listed here are ignored."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="ignore", json_schema_extra={"examples": [_CARD, _TRANSFER]}
    )

    id: UUID
    description: str
    amount: Decimal = Field(description="a number, or a text with a number")
    timestamp: AwareDatetime = Field(description="ISO 8601 with an offset from UTC")
    merchant: str | None = None
    operation_type: OperationType
    side: Side


class TransactionBatch(BaseModel):
    """Up to 1,000 transactions; if one is not valid, the whole request is refused."""

    model_config = ConfigDict(
        strict=True, frozen=True, json_schema_extra={"examples": [{"transactions": [_CARD, _TRANSFER]}]}
    )

    transactions: Annotated[list[Transaction], Field(min_length=1, max_length=MAX_BATCH)]


@with_config(ConfigDict(json_schema_extra={"examples": [*_ANSWERS]}))
class Prediction(TypedDict):
    """The category of one transaction."""

    id: UUID
    category: Category


@with_config(ConfigDict(json_schema_extra={"examples": [{"predictions": [*_ANSWERS]}]}))
class BatchPredictions(TypedDict):
    """One prediction for each transaction, in the order of the request."""

    predictions: list[Prediction]


class ModelHealth(TypedDict):
    """The version in use, if any; and the problem, if any, such as a new version that cannot be loaded."""

    version: str | None
    problem: str | None


class Health(TypedDict):
    """The state of the service: all categories, the model that classifies commits, and the one of late tasks."""

    status: Literal["ok"]
    categories: tuple[str, ...]
    commit_model: ModelHealth
    delay_model: ModelHealth


class Refusal(TypedDict):
    """The reason why a request was refused."""

    detail: str

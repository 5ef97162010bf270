"""The routes that categorise transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from ml_api.categories import category_of
from ml_api.json_route import JsonRoute
from ml_api.models import BatchPredictions, Prediction, Refusal, Transaction, TransactionBatch

if TYPE_CHECKING:
    from ml_api.metrics import Metrics

_REFUSALS: dict[int | str, dict[str, Any]] = {413: {"model": Refusal, "description": "The body is too large"}}


def prediction_routes(metrics: Metrics) -> APIRouter:
    """`POST /predict` and `POST /predict/batch`.

    Args:
        metrics: counts the predictions.
    """
    router = APIRouter(prefix="/predict", route_class=JsonRoute, tags=["transactions"], responses=_REFUSALS)

    @router.post("", summary="Categorise one transaction")
    def predict(transaction: Transaction) -> Prediction:
        """Return the category. It depends on the id alone: the same id always has the same category."""
        category = category_of(transaction.id)
        metrics.count_predictions([category])
        return {"id": transaction.id, "category": category}

    @router.post("/batch", summary="Categorise up to 1,000 transactions")
    def predict_batch(batch: TransactionBatch) -> BatchPredictions:
        """Return one prediction for each transaction, in the order of the request."""
        predictions: list[Prediction] = [{"id": one.id, "category": category_of(one.id)} for one in batch.transactions]
        metrics.count_predictions(one["category"] for one in predictions)
        return {"predictions": predictions}

    return router

"""ChampionKeeper: it loads once, keeps a version in use, checks for new ones; and the requirements for a model."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from include.ml.commit_features import FEATURES, INPUTS, CommitFeatures
from ml_api.champion import Champion, ChampionKeeper, ModelUnavailableError, UnfitModelError, Version, _frame
from ml_api.commit_models import Commit
from ml_api.metrics import Metrics

pytestmark = pytest.mark.unit

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Fixed:
    """A pipeline with a fixed answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def predict_proba(self, frame: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(frame)


class Registry:
    """A registry in place of MLflow: tests set the version with the alias, and block loads with `may_load`."""

    def __init__(self) -> None:
        self.version: str | Version | Exception = "1"
        self.unfit: set[str] = set()
        self.asked: list[str] = []
        self.loaded: list[str] = []
        self.may_load = threading.Event()
        self.may_load.set()

    def champion_version(self) -> Version:
        self.asked.append(str(self.version))
        if isinstance(self.version, Exception):
            raise self.version
        return self.version if isinstance(self.version, Version) else Version(self.version)

    def load(self, version: Version) -> Champion:
        self.loaded.append(version.number)
        assert self.may_load.wait(30)
        if version.number in self.unfit:
            raise UnfitModelError(version.number, "it is a regressor")
        return Champion(version.number, pipeline=None)


class Watched:
    """A keeper with its registry, its metrics, and the number of calls of `loaded`."""

    def __init__(self, *, refresh: float = 0, load_timeout: float = 30, off: bool = False) -> None:
        self.registry, self.metrics, self.loads = Registry(), Metrics(), 0
        self.keeper = ChampionKeeper(
            None if off else self.registry,
            refresh=refresh, load_timeout=load_timeout, metrics=self.metrics, loaded=self._count,
        )  # fmt: skip

    def _count(self) -> None:
        self.loads += 1

    async def version(self) -> str:
        return (await self.keeper.champion()).version

    async def settled(self) -> None:
        """Wait until no check is running."""
        while self.keeper._check is not None:
            await asyncio.wait({self.keeper._check}, timeout=30)

    def counted(self, name: str) -> str:
        return next(line for line in self.metrics.text().decode().splitlines() if line.startswith(name)).split()[-1]


def unavailable(detail: str = "MLflow is down") -> ModelUnavailableError:
    return ModelUnavailableError(detail)


async def refusal(watched: Watched) -> ModelUnavailableError:
    with pytest.raises(ModelUnavailableError) as caught:
        await watched.keeper.champion()
    return caught.value


# --- the keeper


def test_concurrent_first_requests_load_once() -> None:
    async def scenario() -> None:
        watched = Watched(refresh=1000)
        assert watched.keeper.health() == {
            "version": None, "problem": "no request has asked for it yet: the first one loads it",
        }  # fmt: skip
        assert await asyncio.gather(*(watched.version() for _ in range(8))) == ["1"] * 8
        assert await watched.version() == "1"
        assert (watched.registry.asked, watched.registry.loaded, watched.loads) == (["1"], ["1"], 1)
        assert watched.keeper.health() == {"version": "1", "problem": None}

    asyncio.run(scenario())


def test_registry_is_not_asked_before_the_first_request_and_while_scoring_is_off() -> None:
    async def scenario() -> None:
        assert Watched().registry.asked == []
        watched = Watched(off=True)
        refused = await refusal(watched)
        assert "set MLFLOW_TRACKING_URI" in refused.detail
        assert refused.retry_after is None
        assert watched.keeper.health() == {"version": None, "problem": refused.detail}

    asyncio.run(scenario())


def test_old_version_is_used_until_the_new_one_is_loaded() -> None:
    async def scenario() -> None:
        watched = Watched()
        assert await watched.version() == "1"
        watched.registry.version = "2"
        watched.registry.may_load.clear()
        assert [await watched.version() for _ in range(3)] == ["1"] * 3
        watched.registry.may_load.set()
        await watched.settled()
        assert await watched.version() == "2"
        await watched.settled()
        assert watched.registry.loaded == ["1", "2"]
        assert watched.loads == 2
        lines = [one for one in watched.metrics.text().decode().splitlines() if one.startswith("ml_api_model_info")]
        assert lines == ['ml_api_model_info{model="commit-classifier",version="2"} 1.0']

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"run_id": "another"}, id="trained-again"),
        pytest.param({"created": 2}, id="registered-again"),
        pytest.param({"signature": "another"}, id="signed-again"),
    ],
)
def test_version_with_the_same_number_of_another_registration_is_loaded(change: dict[str, Any]) -> None:
    """After a model was deleted, MLflow counts its versions from 1 again."""

    async def scenario() -> None:
        watched = Watched()
        watched.registry.version = first = Version("1", "run", 1, "signed")
        await watched.version()
        await watched.settled()
        assert watched.registry.loaded == ["1"]
        watched.registry.version = replace(first, **change)
        await watched.version()
        await watched.settled()
        assert watched.registry.loaded == ["1", "1"]
        assert watched.loads == 2

    asyncio.run(scenario())


def test_new_registration_with_the_number_of_an_unfit_one_is_loaded() -> None:
    async def scenario() -> None:
        watched = Watched()
        watched.registry.version, watched.registry.unfit = Version("1", "run", 1), {"1"}
        await refusal(watched)
        watched.registry.version, watched.registry.unfit = Version("1", "run", 2), set()
        assert await watched.version() == "1"

    asyncio.run(scenario())


def test_alias_that_moves_back_loads_the_earlier_version_again() -> None:
    async def scenario() -> None:
        watched = Watched()
        for version in ("1", "2", "1"):
            watched.registry.version = version
            await watched.version()
            await watched.settled()
        assert await watched.version() == "1"
        await watched.settled()
        assert watched.registry.loaded == ["1", "2", "1"]

    asyncio.run(scenario())


def test_old_version_is_used_while_mlflow_is_down(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        watched = Watched()
        await watched.version()
        watched.registry.version = unavailable()
        for _ in range(3):
            assert await watched.version() == "1"
            await watched.settled()
        assert watched.keeper.health() == {"version": "1", "problem": "MLflow is down"}
        assert watched.counted("ml_api_model_load_failures_total") == "3.0"
        watched.registry.version = "1"
        await watched.version()
        await watched.settled()
        assert watched.keeper.health() == {"version": "1", "problem": None}
        assert watched.registry.loaded == ["1"]

    asyncio.run(scenario())
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["MLflow is down; version 1 stays in use"], "one line, also for several failures"


def test_without_a_model_the_error_has_reason_and_retry_after_until_one_is_loaded() -> None:
    async def scenario() -> None:
        watched = Watched()
        watched.registry.version = unavailable("train first")
        refused = await refusal(watched)
        assert (refused.detail, refused.retry_after) == ("train first", 1)
        watched.registry.version = "1"
        assert await watched.version() == "1"

    asyncio.run(scenario())


def test_failure_is_not_retried_before_retry_after() -> None:
    async def scenario() -> None:
        watched = Watched(refresh=1000)
        watched.registry.version = unavailable()
        for _ in range(5):
            assert (await refusal(watched)).retry_after == 5
        assert watched.registry.asked == ["MLflow is down"]

    asyncio.run(scenario())


def test_request_that_waits_too_long_gets_an_error_and_the_load_continues() -> None:
    async def scenario() -> None:
        watched = Watched(refresh=1000, load_timeout=0.01)
        watched.registry.may_load.clear()
        for _ in range(3):
            refused = await refusal(watched)
            assert (refused.detail, refused.retry_after) == ("the model is being loaded: ask again", 5)
        assert watched.keeper.health()["problem"] == refused.detail
        watched.registry.may_load.set()
        await watched.settled()
        assert await watched.version() == "1"
        assert watched.registry.loaded == ["1"]

    asyncio.run(scenario())


def test_unfit_version_is_not_loaded_again_but_another_is() -> None:
    async def scenario() -> None:
        watched = Watched()
        watched.registry.unfit.add("1")
        for _ in range(3):
            assert (
                "version 1 of commit-classifier does not fit this service (it is a regressor)"
                in (await refusal(watched)).detail
            )
        assert watched.registry.loaded == ["1"]
        watched.registry.version = "2"
        assert await watched.version() == "2"

    asyncio.run(scenario())


def test_unexpected_load_error_is_logged_but_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        watched = Watched()
        watched.registry.version = RuntimeError("line 7 of something")
        assert (await refusal(watched)).detail == "the model cannot be loaded: the log of this service says why"

    asyncio.run(scenario())
    assert "line 7 of something" in caplog.text


# --- requirements for a model


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(RuntimeError("no such column"), "RuntimeError: no such column", id="raises"),
        pytest.param(lambda frame: np.zeros(len(frame)), "2 rows of 2 columns are expected", id="one-column"),
        pytest.param(
            lambda frame: np.full((len(frame), 3), 0.3), "2 rows of 2 columns are expected", id="three-classes"
        ),
        pytest.param(lambda frame: [[0.5, 0.5]] * len(frame), "<class 'list'>", id="a-list"),
        pytest.param(lambda frame: np.full((len(frame), 2), np.nan), "probabilities outside 0 to 1", id="nan"),
        pytest.param(lambda frame: np.full((len(frame), 2), 1.5), "probabilities outside 0 to 1", id="above-1"),
    ],
)
def test_check_refuses_an_unfit_model(answer: Any, reason: str) -> None:
    with pytest.raises(UnfitModelError) as caught:
        Champion("7", Fixed(answer)).check()
    assert reason in caught.value.detail
    assert "train_commit_model" in caught.value.detail


def test_check_refuses_a_model_without_probabilities() -> None:
    with pytest.raises(UnfitModelError, match="predict_proba"):
        Champion("7", object()).check()


def test_probabilities_are_those_of_the_second_class_in_order() -> None:
    def by_length(frame: Any) -> Any:
        share = frame["message"].str.len().to_numpy() / 10
        return np.column_stack([1 - share, share])

    commits = [Commit(message="x" * length, authored_at=NOON) for length in (7, 0, 10)]
    assert Champion("1", Fixed(by_length)).merge_probabilities(commits) == [0.7, 0.0, 1.0]


# --- the table for the model

FULL = Commit(
    message="Fix", authored_at=NOON.astimezone(timezone(timedelta(hours=-5))), author_email="ada@example.com",
    comment_count=2, author_commits_before=41, hours_since_author_commit=3.5, is_company_email=True,
)  # fmt: skip
BARE = Commit(message="", authored_at=datetime(2099, 12, 31, tzinfo=UTC))


@pytest.mark.parametrize(
    "commits", [[FULL, BARE], [BARE], [FULL], [BARE] * 1000], ids=["mixed", "bare", "full", "many"]
)
def test_frame_has_the_columns_of_training_for_missing_values_too(commits: list[Commit]) -> None:
    frame = _frame(commits)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == INPUTS | {"author_email": "object"}
    assert len(frame) == len(commits)


def test_frame_keeps_the_values_of_commits() -> None:
    full, bare = _frame([FULL, BARE]).to_dict("records")
    assert full == {
        "message": "Fix", "authored_at": NOON, "author_email": "ada@example.com", "comment_count": 2.0,
        "author_commits_before": 41.0, "hours_since_author_commit": 3.5, "is_company_email": True,
    }  # fmt: skip
    assert bare["author_email"] is None
    assert np.isnan(bare["comment_count"])
    assert np.isnan(bare["hours_since_author_commit"])
    assert bare["is_company_email"] is False


def test_frame_is_accepted_by_the_features_of_training() -> None:
    found = CommitFeatures().fit_transform(_frame([FULL, BARE]))
    assert found.shape == (2, len(FEATURES))
    assert np.isfinite(found).all()

"""The model that classifies commits: what it must be able to do, and the keeper that has the newest one at hand.

Where models come from is in `ml_api.registry`; who asks for one, in `ml_api.commits`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ml_api.commit_models import Commit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ml_api.metrics import Metrics
    from ml_api.models import ModelHealth

_Found = TypeVar("_Found")

MODEL, ALIAS = "commit-classifier", "champion"

_LOG = logging.getLogger(__name__)
_RETRY_SECONDS = 5.0  # while there is no model at all, MLflow is asked again sooner than for news

_OFF = "scoring is off: set MLFLOW_TRACKING_URI to MLflow's address and start this service again"
_NOT_ASKED = "no request has asked for it yet: the first one loads it"
_LOADING = "the model is being loaded: ask again"

_SAMPLES = (
    Commit(
        message="Merge branch 'totals' into main\n\nRefuse files without a header", author_email="ada@example.com",
        authored_at=datetime(2026, 3, 2, 9, 30, tzinfo=UTC), comment_count=1, author_commits_before=12,
        hours_since_author_commit=3.5, is_company_email=True,
    ),
    Commit(message="", authored_at=datetime(2026, 3, 1, tzinfo=UTC)),
)  # fmt: skip


@dataclass(frozen=True)
class Version:
    """A registered version. After a model was deleted, MLflow counts from 1 again: the number alone identifies none.

    Attributes:
        number: of the version.
        run_id: the run that made the model.
        created: when it was registered, in milliseconds since 1970.
        signature: by which the training of this platform says that the model is its own.
    """

    number: str
    run_id: str = ""
    created: int = 0
    signature: str = ""


class ModelUnavailableError(Exception):
    """No model can be had now. Says what to do; `retry_after` in seconds, if asking again may help."""

    def __init__(self, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail, self.retry_after = detail, retry_after


class UnfitModelError(ModelUnavailableError):
    """This version is no model for commits, and never will be: versions do not change."""

    def __init__(self, version: str, reason: str) -> None:
        super().__init__(
            f"version {version} of {MODEL} does not fit this service ({reason}): train another (DAG"
            f" train_commit_model), or set its alias {ALIAS} to a version that works"
        )
        self.version, self.reason = version, reason


@dataclass(frozen=True)
class Champion:
    """A version of the model: a pipeline that takes commits as they come and gives the probability of a merge."""

    version: str
    pipeline: Any

    def merge_probabilities(self, commits: Sequence[Commit]) -> list[float]:
        """One for each commit, in their order.

        Raises:
            ValueError: the pipeline gives something else. What it raises itself passes through.
        """
        found = self.pipeline.predict_proba(_frame(commits))
        if getattr(found, "shape", None) != (len(commits), 2):
            raise ValueError(f"it gives {getattr(found, 'shape', type(found))} where {len(commits)} rows of 2 are due")
        probabilities = [float(one) for one in found[:, 1]]
        if not all(0 <= one <= 1 for one in probabilities):
            raise ValueError("it gives probabilities that are none")
        return probabilities

    def prove(self) -> None:
        """Classify a full and an empty commit.

        Raises:
            UnfitModelError: it cannot.
        """
        try:
            self.merge_probabilities(_SAMPLES)
        except Exception as error:
            raise UnfitModelError(self.version, f"{type(error).__name__}: {error}") from error


class Source(Protocol):
    """Where champions come from. Both calls may take seconds, and are made from another thread."""

    def champion_version(self) -> Version:
        """The version that has the alias now. Raises ModelUnavailableError."""

    def load(self, version: Version) -> Champion:
        """That version, proved. Raises ModelUnavailableError."""


class ChampionKeeper:
    """Loads the champion when it is first asked for, and again when another version has become it.

    For the event loop alone. A champion serves until the next one is loaded, also while MLflow is down. News are looked
    for in the background when a request comes, so that a service that nobody uses asks nobody.

    Args:
        source: nothing if scoring is off.
        refresh: seconds until the source is asked again.
        patience: seconds that a request waits for the first champion. The load itself goes on.
        metrics: is told of versions and of loads that fail.
        loaded: called after each load, on the event loop.
    """

    def __init__(
        self, source: Source | None, *, refresh: float, patience: float, metrics: Metrics, loaded: Callable[[], None]
    ) -> None:
        self._source, self._refresh, self._patience, self._metrics = source, refresh, patience, metrics
        self._loaded = loaded
        self._champion: Champion | None = None
        self._loaded_version: Version | None = None
        self._unfit: tuple[Version, UnfitModelError] | None = None
        self._problem: str | None = _NOT_ASKED if source else _OFF
        self._looking: asyncio.Task[None] | None = None
        self._next = monotonic()

    async def champion(self) -> Champion:
        """The champion at hand, or the first one as soon as it is loaded.

        Raises:
            ModelUnavailableError: there is none.
        """
        if self._source is None:
            raise ModelUnavailableError(_OFF)
        if self._looking is None and monotonic() >= self._next:
            self._looking = asyncio.create_task(self._look(self._source))
        if self._champion is None and self._looking is not None:
            await asyncio.wait({self._looking}, timeout=self._patience)
        if self._champion is None:
            if self._looking is not None:
                raise ModelUnavailableError(_LOADING, retry_after=ceil(_RETRY_SECONDS))
            raise ModelUnavailableError(str(self._problem), retry_after=max(1, ceil(self._next - monotonic())))
        return self._champion

    def health(self) -> ModelHealth:
        """The version that serves, and what is wrong, if something is."""
        problem = _LOADING if self._champion is None and self._looking is not None else self._problem
        return {"version": self._champion.version if self._champion else None, "problem": problem}

    async def _look(self, source: Source) -> None:
        try:
            found = await _in_a_thread(lambda: self._newer(source))
        except Exception as error:  # whatever it is, the next request must be able to try again
            self._fail(error)
        else:
            self._problem = None
            if found is not None:
                self._loaded_version, self._champion = found
                self._metrics.tell_model(MODEL, self._champion.version)
                _LOG.info("version %s of %s classifies commits", self._champion.version, MODEL)
                self._loaded()
        finally:
            wait = self._refresh if self._champion else min(self._refresh, _RETRY_SECONDS)
            self._next, self._looking = monotonic() + wait, None

    def _newer(self, source: Source) -> tuple[Version, Champion] | None:
        version = source.champion_version()
        if self._champion is not None and self._loaded_version == version:
            return None
        if self._unfit is not None and self._unfit[0] == version:
            raise UnfitModelError(version.number, self._unfit[1].reason)
        try:
            return version, source.load(version)
        except UnfitModelError as error:
            self._unfit = version, error
            raise

    def _fail(self, error: Exception) -> None:
        """Remember why, and say it once: MLflow may be away for hours."""
        known = isinstance(error, ModelUnavailableError)
        problem = str(error) if known else "the model cannot be loaded: the log of this service says why"
        if problem != self._problem:
            serving = f"; version {self._champion.version} serves on" if self._champion else ""
            # Where in the model's or our code it was is of use; where in a client of HTTP is not.
            of_use = error if isinstance(error, UnfitModelError) or not known else None
            cause = f" ({type(error.__cause__).__name__}: {error.__cause__})" if error.__cause__ and not of_use else ""
            _LOG.warning("%s%s%s", problem, cause, serving, exc_info=of_use)
        self._problem = problem
        self._metrics.count_load_failure()


def _in_a_thread(work: Callable[[], _Found]) -> asyncio.Future[_Found]:
    """Not in a pool: the end of the service must not wait for a download."""
    future: Future[_Found] = Future()

    def run() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except BaseException as error:  # to be raised where it is awaited
                future.set_exception(error)

    threading.Thread(target=run, name="champion", daemon=True).start()
    return asyncio.wrap_future(future)


def _frame(commits: Sequence[Commit]) -> Any:
    """The commits as the table that pipelines are trained with. Its columns and types are agreed with them."""
    import pandas as pd

    return pd.DataFrame(
        {
            "message": [one.message for one in commits],
            "authored_at": pd.Series([one.authored_at.astimezone(UTC) for one in commits], dtype="datetime64[ns, UTC]"),
            # Otherwise pandas would make NaN of None.
            "author_email": pd.Series([one.author_email for one in commits], dtype=object),
            "comment_count": pd.Series([one.comment_count for one in commits], dtype="float64"),
            "author_commits_before": pd.Series([one.author_commits_before for one in commits], dtype="float64"),
            "hours_since_author_commit": pd.Series([one.hours_since_author_commit for one in commits], dtype="float64"),
            "is_company_email": [one.is_company_email for one in commits],
        }
    )

"""The model that classifies commits: its interface, and the keeper that loads new versions.

Models are fetched by `ml_api.registry` and used by `ml_api.commits`.
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

from include.ml.model_file import CHAMPION, MODEL
from ml_api.commit_models import Commit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ml_api.metrics import Metrics
    from ml_api.models import ModelHealth

_Found = TypeVar("_Found")

_LOG = logging.getLogger(__name__)
_RETRY_SECONDS = 5.0  # at most, until MLflow is asked again while no model is loaded

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
    """A registered version. The number is not unique: after a model was deleted, MLflow counts from 1 again.

    Attributes:
        number: of the version.
        run_id: the run that trained the model.
        created: when it was registered, in milliseconds since 1970.
        signature: made by the training of this platform.
    """

    number: str
    run_id: str = ""
    created: int = 0
    signature: str = ""


class ModelUnavailableError(Exception):
    """No model is available now. `detail` says what to do; `retry_after` is in seconds, None if a retry cannot help."""

    def __init__(self, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail, self.retry_after = detail, retry_after


class UnfitModelError(ModelUnavailableError):
    """This version cannot classify commits. It is not loaded again: versions do not change."""

    def __init__(self, version: str, reason: str) -> None:
        super().__init__(
            f"version {version} of {MODEL} does not fit this service ({reason}): train another (DAG"
            f" train_commit_model), or set its alias {CHAMPION} to a version that works"
        )
        self.version, self.reason = version, reason


@dataclass(frozen=True)
class Champion:
    """A version of the model: a pipeline from commits to probabilities of a merge."""

    version: str
    pipeline: Any

    def merge_probabilities(self, commits: Sequence[Commit]) -> list[float]:
        """Return the probability of a merge for each commit, in their order.

        Raises:
            ValueError: the pipeline returns another shape, or values outside 0 to 1. Its own errors pass through.
        """
        found = self.pipeline.predict_proba(_frame(commits))
        if getattr(found, "shape", None) != (len(commits), 2):
            shape = getattr(found, "shape", type(found))
            raise ValueError(f"predict_proba returned {shape}; {len(commits)} rows of 2 columns are expected")
        probabilities = [float(one) for one in found[:, 1]]
        if not all(0 <= one <= 1 for one in probabilities):
            raise ValueError("predict_proba returned probabilities outside 0 to 1")
        return probabilities

    def check(self) -> None:
        """Classify a full and an empty commit.

        Raises:
            UnfitModelError: the pipeline fails.
        """
        try:
            self.merge_probabilities(_SAMPLES)
        except Exception as error:
            raise UnfitModelError(self.version, f"{type(error).__name__}: {error}") from error


class Source(Protocol):
    """The registry of models. Both calls may take seconds, and run in another thread."""

    def champion_version(self) -> Version:
        """Return the version that has the alias now. Raises ModelUnavailableError."""

    def load(self, version: Version) -> Champion:
        """Load and check that version. Raises ModelUnavailableError."""


class ChampionKeeper:
    """Loads the champion on the first request, and again when the alias has moved to another version.

    Not thread-safe: for the event loop only. A champion is used until the next one is loaded, also while MLflow is
    down. A request starts the check for a new version in the background, so an unused service sends no requests.

    Args:
        source: None if scoring is off.
        refresh: seconds until the source is asked again.
        load_timeout: seconds that a request waits for the first champion. The load itself continues.
        metrics: counts failed loads and shows the version.
        loaded: called after each load, on the event loop.
    """

    def __init__(
        self,
        source: Source | None,
        *,
        refresh: float,
        load_timeout: float,
        metrics: Metrics,
        loaded: Callable[[], None],
    ) -> None:
        self._source, self._refresh, self._load_timeout, self._metrics = source, refresh, load_timeout, metrics
        self._loaded = loaded
        self._champion: Champion | None = None
        self._loaded_version: Version | None = None
        self._unfit: tuple[Version, UnfitModelError] | None = None
        self._problem: str | None = _NOT_ASKED if source else _OFF
        self._check: asyncio.Task[None] | None = None
        self._next = monotonic()

    async def champion(self) -> Champion:
        """Return the loaded champion, or wait for the first one.

        Raises:
            ModelUnavailableError: none is loaded.
        """
        if self._source is None:
            raise ModelUnavailableError(_OFF)
        if self._check is None and monotonic() >= self._next:
            self._check = asyncio.create_task(self._check_for_new_version(self._source))
        if self._champion is None and self._check is not None:
            await asyncio.wait({self._check}, timeout=self._load_timeout)
        if self._champion is None:
            if self._check is not None:
                raise ModelUnavailableError(_LOADING, retry_after=ceil(_RETRY_SECONDS))
            raise ModelUnavailableError(str(self._problem), retry_after=max(1, ceil(self._next - monotonic())))
        return self._champion

    def health(self) -> ModelHealth:
        """Return the version in use and the current problem, if any."""
        problem = _LOADING if self._champion is None and self._check is not None else self._problem
        return {"version": self._champion.version if self._champion else None, "problem": problem}

    async def _check_for_new_version(self, source: Source) -> None:
        try:
            found = await _in_a_thread(lambda: self._newer(source))
        except Exception as error:  # any error: the next request must be able to try again
            self._fail(error)
        else:
            self._problem = None
            if found is not None:
                self._loaded_version, self._champion = found
                self._metrics.set_model_version(MODEL, self._champion.version)
                _LOG.info("version %s of %s classifies commits", self._champion.version, MODEL)
                self._loaded()
        finally:
            wait = self._refresh if self._champion else min(self._refresh, _RETRY_SECONDS)
            self._next, self._check = monotonic() + wait, None

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
        """Keep the problem, and log it once: MLflow may be down for hours."""
        known = isinstance(error, ModelUnavailableError)
        problem = str(error) if known else "the model cannot be loaded: the log of this service says why"
        if problem != self._problem:
            serving = f"; version {self._champion.version} stays in use" if self._champion else ""
            # The traceback is logged for errors of the model or of this service, not for those of the HTTP client.
            traced = error if isinstance(error, UnfitModelError) or not known else None
            cause = f" ({type(error.__cause__).__name__}: {error.__cause__})" if error.__cause__ and not traced else ""
            _LOG.warning("%s%s%s", problem, cause, serving, exc_info=traced)
        self._problem = problem
        self._metrics.count_load_failure()


def _in_a_thread(work: Callable[[], _Found]) -> asyncio.Future[_Found]:
    """Run work in a daemon thread, and not in a pool: the service must be able to stop during a download."""
    future: Future[_Found] = Future()

    def run() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except BaseException as error:  # raised where the future is awaited
                future.set_exception(error)

    threading.Thread(target=run, name="champion", daemon=True).start()
    return asyncio.wrap_future(future)


def _frame(commits: Sequence[Commit]) -> Any:
    """Return the commits as a table with the columns and types that the pipelines are trained with."""
    import pandas as pd

    return pd.DataFrame(
        {
            "message": [one.message for one in commits],
            "authored_at": pd.Series([one.authored_at.astimezone(UTC) for one in commits], dtype="datetime64[ns, UTC]"),
            # With dtype object, None stays None; pandas would make it NaN.
            "author_email": pd.Series([one.author_email for one in commits], dtype=object),
            "comment_count": pd.Series([one.comment_count for one in commits], dtype="float64"),
            "author_commits_before": pd.Series([one.author_commits_before for one in commits], dtype="float64"),
            "hours_since_author_commit": pd.Series([one.hours_since_author_commit for one in commits], dtype="float64"),
            "is_company_email": [one.is_company_email for one in commits],
        }
    )

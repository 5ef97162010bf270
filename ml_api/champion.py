"""A model with the alias champion: the one that classifies commits, and the keeper that loads new versions of any.

Models are fetched by `ml_api.registry` and used by `ml_api.commits` and `ml_api.delays`.
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
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from include.ml.model_file import CHAMPION, MODEL
from ml_api.commit_models import Commit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ml_api.metrics import Metrics
    from ml_api.models import ModelHealth

_Found = TypeVar("_Found")
Loaded_co = TypeVar("Loaded_co", bound="LoadedModel", covariant=True)

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
class ServedModel:
    """A registered model that the service uses.

    Attributes:
        name: in MLflow.
        dag: trains it.
        use: what it does, for messages.
    """

    name: str
    dag: str
    use: str


COMMIT_MODEL = ServedModel(MODEL, "train_commit_model", "classifies commits")


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
    """This version cannot be used. It is not loaded again: versions do not change."""

    def __init__(self, version: str, reason: str, model: ServedModel = COMMIT_MODEL) -> None:
        super().__init__(
            f"version {version} of {model.name} does not fit this service ({reason}): train another (DAG"
            f" {model.dag}), or set its alias {CHAMPION} to a version that works"
        )
        self.version, self.reason = version, reason


@dataclass(frozen=True)
class LoadedModel:
    """A version of a model: a pipeline from a table to the probabilities of no and yes."""

    version: str
    pipeline: Any

    def probabilities(self, frame: Any) -> list[float]:
        """Return the probability of yes for each row.

        Raises:
            ValueError: the pipeline returns another shape, or values outside 0 to 1. Its own errors pass through.
        """
        found = self.pipeline.predict_proba(frame)
        if getattr(found, "shape", None) != (len(frame), 2):
            shape = getattr(found, "shape", type(found))
            raise ValueError(f"predict_proba returned {shape}; {len(frame)} rows of 2 columns are expected")
        probabilities = [float(one) for one in found[:, 1]]
        if not all(0 <= one <= 1 for one in probabilities):
            raise ValueError("predict_proba returned probabilities outside 0 to 1")
        return probabilities

    def check(self) -> None:
        """Use the model once.

        Raises:
            UnfitModelError: it fails.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Champion(LoadedModel):
    """A version of the model that classifies commits."""

    def merge_probabilities(self, commits: Sequence[Commit]) -> list[float]:
        """Return the probability of a merge for each commit, in their order.

        Raises:
            ValueError: as `probabilities`.
        """
        return self.probabilities(_frame(commits))

    def check(self) -> None:
        """Classify a full and an empty commit.

        Raises:
            UnfitModelError: the pipeline fails.
        """
        try:
            self.merge_probabilities(_SAMPLES)
        except Exception as error:
            raise UnfitModelError(self.version, f"{type(error).__name__}: {error}") from error


class Source(Protocol[Loaded_co]):
    """The registry of models. Both calls may take seconds, and run in another thread."""

    def champion_version(self) -> Version:
        """Return the version that has the alias now. Raises ModelUnavailableError."""

    def load(self, version: Version) -> Loaded_co:
        """Load and check that version. Raises ModelUnavailableError."""


class ChampionKeeper(Generic[Loaded_co]):
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

    model: ServedModel = COMMIT_MODEL

    def __init__(
        self,
        source: Source[Loaded_co] | None,
        *,
        refresh: float,
        load_timeout: float,
        metrics: Metrics,
        loaded: Callable[[], None],
    ) -> None:
        self._source, self._refresh, self._load_timeout, self._metrics = source, refresh, load_timeout, metrics
        self._loaded = loaded
        self._champion: Loaded_co | None = None
        self._loaded_version: Version | None = None
        self._unfit: tuple[Version, UnfitModelError] | None = None
        self._problem: str | None = _NOT_ASKED if source else _OFF
        self._check: asyncio.Task[None] | None = None
        self._next = monotonic()

    async def champion(self) -> Loaded_co:
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

    async def _check_for_new_version(self, source: Source[Loaded_co]) -> None:
        try:
            found = await _in_a_thread(lambda: self._newer(source))
        except Exception as error:  # any error: the next request must be able to try again
            self._fail(error)
        else:
            self._problem = None
            if found is not None:
                self._loaded_version, self._champion = found
                self._metrics.set_model_version(self.model.name, self._champion.version)
                _LOG.info("version %s of %s %s", self._champion.version, self.model.name, self.model.use)
                self._loaded()
        finally:
            wait = self._refresh if self._champion else min(self._refresh, _RETRY_SECONDS)
            self._next, self._check = monotonic() + wait, None

    def _newer(self, source: Source[Loaded_co]) -> tuple[Version, Loaded_co] | None:
        version = source.champion_version()
        if self._champion is not None and self._loaded_version == version:
            return None
        if self._unfit is not None and self._unfit[0] == version:
            raise UnfitModelError(version.number, self._unfit[1].reason, self.model)
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

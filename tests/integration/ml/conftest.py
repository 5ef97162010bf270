"""The table of features as dbt builds it, and an MLflow server next to the stores."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from include.settings import TrainingSettings
from include.stores.warehouse import connect
from local.services import mlflow
from local.services.service import shared_environment

sys.path.append(str(Path(__file__).parents[2] / "unit" / "ml"))  # for sample_commits

from sample_commits import sample_commits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.supervisor.platform import Platform

_TABLE = """
CREATE SCHEMA IF NOT EXISTS analytics;
DROP TABLE IF EXISTS analytics.ml_features;
CREATE TABLE analytics.ml_features (
    sha text, repository text, authored_at timestamptz, message text, author_email text, comment_count bigint,
    author_commits_before bigint, hours_since_author_commit double precision, is_company_email boolean,
    is_merge boolean
);
GRANT USAGE ON SCHEMA analytics TO transform;
GRANT SELECT ON analytics.ml_features TO transform;
"""
_COLUMNS = (
    "sha", "authored_at", "message", "author_email", "comment_count", "author_commits_before",
    "hours_since_author_commit", "is_company_email", "is_merge",
)  # fmt: skip
_INTEGERS = {"comment_count", "author_commits_before"}


@pytest.fixture(scope="module")
def server(platform: Platform) -> Iterator[str]:
    """Run an MLflow server as the platform declares it; yield its URL."""
    service = mlflow.service(platform.settings, platform.credentials)
    environment = shared_environment(platform.settings.layout.home) | dict(service.environment)
    log = platform.settings.layout.logs / "mlflow.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            service.command, env=environment, cwd=service.directory, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while (complaint := service.probe(0.0)) is not None:
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, complaint
            time.sleep(0.1)
        yield mlflow.url(platform.settings)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def settings(server: str, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> TrainingSettings:
    """Settings of a small, fast training with the account of the training."""
    for name, value in mlflow.variables(platform.settings, platform.credentials).items():
        monkeypatch.setenv(name, value)
    return TrainingSettings(trees=40, folds=3)


@pytest.fixture(scope="module")
def fill(platform: Platform) -> Callable[[int], None]:
    """Return a function that recreates analytics.ml_features with the oldest `count` commits."""

    def filled(count: int) -> None:
        frame = sample_commits(count)
        with connect(platform.warehouse_config("owner")) as connection:
            connection.execute(_TABLE)
            copy = f"COPY analytics.ml_features ({', '.join(_COLUMNS)}) FROM STDIN"
            with connection.cursor().copy(copy) as rows:
                for row in frame[list(_COLUMNS)].itertuples(index=False):
                    rows.write_row([_plain(name, value) for name, value in zip(_COLUMNS, row, strict=True)])

    return filled


def _plain(name: str, value: Any) -> Any:
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return None
    return int(value) if name in _INTEGERS else value

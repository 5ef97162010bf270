"""Collect new records of the configured GitHub repositories as files in incoming/.

**Purpose**: request new commits from GitHub's REST API (issues and events too if GITHUB_ENDPOINTS lists them), store
each response unchanged, and write one flattened file per repository and endpoint. The DAGs `ingest_<dataset>` load the
files.

**Trigger**: every 30 minutes (GITHUB_SCHEDULE_MINUTES), or manually. The parameter `repositories` limits the run to
these repositories. The parameter `full` requests all records again, whatever was read before. If there is nothing new,
nothing is written.

**Reads**: the API of the connection `source_github` (host: address, password: token), `ops.source_state`.

**Writes**: `s3://raw-data/github-<endpoint>/YYYY-MM-DD/HH-MM-SS.json`, `incoming/<dataset>/`, `ops.source_state`.

**On failure**: the last line of the task log names the repository and the reason. `source-unavailable`: what was read
is kept; the retry or the next run continues from there. `source-refused`: the token or the repository name is wrong;
the other repositories are still read. A *skipped* task reached the rate limit of the API (`rate-limited`): its log
gives the time when the limit resets; what was read is kept, and the next run continues from there.

**How to rerun**: clear the failed task, or wait for the next run. Records that are read twice are merged by their key.
After a change that must also apply to old records, trigger the DAG with `full`. If that run is stopped, its retry and
the next run continue the full read.
"""

from datetime import timedelta

from airflow.sdk import Param, dag

from include.orchestration.alerts import notify_failed_run
from include.orchestration.defaults import START, default_args
from include.orchestration.github import collect_repository, list_repositories
from include.settings import github_settings


@dag(
    schedule=timedelta(minutes=github_settings().schedule_minutes),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args(),
    on_failure_callback=notify_failed_run,
    doc_md=__doc__,
    tags=["sources", "github"],
    params={
        "repositories": Param(
            [],
            type="array",
            items={"type": "string"},
            description="owner/name, one per line; empty: GITHUB_REPOSITORIES",
        ),
        "full": Param(default=False, type="boolean", description="Request all records, not only new ones"),
    },
)
def ingest_github() -> None:
    """Collect each repository in its own mapped task."""
    collect_repository.expand(repository=list_repositories())


ingest_github()

"""News of the watched repositories on GitHub become files in incoming/.

**Purpose**: ask GitHub's REST API for what is new (commits; issues and events if GITHUB_ENDPOINTS says so), keep each
answer as it came, and drop one flattened file per repository and endpoint. `ingest_commits` does the rest.

**Trigger**: every half hour (GITHUB_SCHEDULE_MINUTES), or by hand. With `repositories` only those are asked; with
`full` everything there is comes again, whatever was read before. Without news nothing is written.

**Reads**: the API of the connection `source_github` (host: address, password: token), `ops.source_state`.

**Writes**: `s3://raw-data/github-<endpoint>/YYYY-MM-DD/HH-MM-SS.json`, `incoming/<dataset>/`, `ops.source_state`.

**When it fails**: the task's last line says which repository and why. `source-unavailable`: what was read is kept, and
a retry or the next run goes on from there. `source-refused`: the token or a repository's name is wrong; the other
repositories are not held up. A task that is *skipped* met the API's rate limit (`rate-limited`): its log says until
when that is used up, what was read is kept, and the next run goes on from there.

**How to rerun**: clear the failed task, or wait for the next run: records that come twice are merged by their key.
After a change that must reach old records too, trigger it with `full`; a retry goes on with that, and so does the next
run where it was stopped.
"""

from datetime import timedelta

from airflow.sdk import Param, dag

from include.orchestration.alerts import tell_of_failed_run
from include.orchestration.defaults import START, default_args
from include.orchestration.github import collect_repository, list_repositories
from include.settings import github_settings


@dag(
    schedule=timedelta(minutes=github_settings().schedule_minutes),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args(),
    on_failure_callback=tell_of_failed_run,
    doc_md=__doc__,
    tags=["sources", "github"],
    params={
        "repositories": Param(
            [], type="array", items={"type": "string"}, description="owner/name, one a line; none: GITHUB_REPOSITORIES"
        ),
        "full": Param(default=False, type="boolean", description="Ask for everything there is, not for news alone"),
    },
)
def ingest_github() -> None:
    """One mapped task a repository."""
    collect_repository.expand(repository=list_repositories())


ingest_github()

"""The platform as a whole: starting its services in order, their status, and stopping all their processes.

What belongs here: order, readiness, and recovery from failed steps. Each service is declared in its own module.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from include.settings import S3Config, WarehouseConfig
from local.console import Progress, Silence, step
from local.credentials import Credentials, load, load_or_make, supervisor_password
from local.errors import PlatformError
from local.old_contracts import move_old_contracts
from local.services import (
    airflow,
    broker,
    bucket,
    bucket_import,
    dbt_manifest,
    lake,
    ml_api,
    mlflow,
    postgres,
    redis,
    seaweedfs,
)
from local.services.stand_ins import service as stand_ins
from local.settings import PORTS, REPOSITORY, SHAPE, PlatformSettings
from local.supervisor import processes
from local.supervisor.processes import Session
from local.supervisor.readiness import NotReadyError, check_disk, check_port, check_program, start_and_wait
from local.supervisor.status import ServiceStatus, status_of
from local.supervisor.supervision import ProgramState, Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.lake.config import LakeConfig
    from local.services.service import Service

POSTGRES, S3, KAFKA, ML_API, MLFLOW = "postgres", "s3", "kafka", ml_api.NAME, mlflow.NAME
STORES = (POSTGRES, S3)

# Start order: the stores and the queue, then the services that Airflow calls, then Airflow.
_FIRST = (*STORES, redis.NAME)
_SECOND = (ML_API, stand_ins.NAME)


class Platform:
    """One embedded platform, whose state is in one folder. Several can run side by side on different ports."""

    def __init__(self, settings: PlatformSettings, progress: Progress | None = None) -> None:
        self._requested, self._progress = settings, progress or Silence()
        self._layout = settings.layout
        self._has_lock = False

    @property
    def settings(self) -> PlatformSettings:
        """The effective settings: ports and services of the running instance if there is one, else as requested."""
        recorded = self._recorded()
        return self._requested.model_copy(update=recorded.get("ports", {}) | recorded.get("shape", {}))

    @property
    def credentials(self) -> Credentials:
        """The secrets of this platform.

        Raises:
            PlatformError: it was never started.
        """
        return load(self._layout.secrets)

    @property
    def s3_config(self) -> S3Config:
        """Address and key of the pipelines' buckets."""
        return bucket.s3_config(self.settings, self.credentials)

    def warehouse_config(self, role: str = "ingest") -> WarehouseConfig:
        """Return address and login of the warehouse for the role `owner`, `ingest`, `transform` or `reader`."""
        user = "warehouse_owner" if role == "owner" else role
        return WarehouseConfig(
            host="127.0.0.1",
            port=self.settings.postgres_port,
            database=postgres.WAREHOUSE,
            user=user,
            password=postgres.role_passwords(self.credentials)[user],
        )

    def lake_config(self, *, writes: bool = False) -> LakeConfig:
        """Return addresses and logins of the lake: its reader's, or its owner's and the pipelines' key."""
        return lake.lake_config(self.settings, self.credentials, writes=writes)

    def services(self) -> list[Service]:
        """Return every service in start order."""
        settings, credentials = self.settings, self.credentials
        return [
            postgres.service(settings, credentials),
            bucket.service(settings, credentials),
            broker.service(settings, credentials),
            *([redis.service(settings, credentials)] if settings.airflow_executor == "celery" else []),
            ml_api.service(settings, credentials),
            *([stand_ins.service(settings)] if settings.stand_ins else []),
            mlflow.service(settings, credentials),
            *airflow.services(settings, credentials),
        ]

    def up(self, services: Sequence[str] = ()) -> bool:
        """Start the services that do not run yet, and wait until they are ready.

        Args:
            services: names; all when empty.

        Returns:
            Whether a service had to be started.

        Raises:
            PlatformError: a precondition fails or a service does not start. The services of this call are stopped.
            NotReadyError: a service is not ready yet. It is left running, and the next call continues to wait for it.
        """
        self._make_home()
        with self._alone():
            move_old_contracts(self._progress)
            load_or_make(self._layout.secrets)
            if postgres.stale_passwords(self._layout).exists():
                self._stop_everything()  # a rotation was killed: running services may have the old secrets
            wanted = self._wanted(services)
            running = self._supervisor.states()
            unfinished = self._unfinished() if running else set()
            missing = [s for s in wanted if s.name in unfinished or not _runs(running, s.name)]
            if not missing:
                self._prepare_manifest(wanted)
                return False
            try:
                if not running:
                    self._end_leftovers()
                for service in missing:
                    check_program(service)
                    if not _runs(running, service.name):
                        check_port(service)
                if not running:
                    self._start_supervisor()
                self._layout.unfinished.write_text(json.dumps([s.name for s in missing]))
                self._start(missing)
            except NotReadyError:
                raise  # the services continue to start: the next call waits for them
            except BaseException:
                self._undo_start([service.name for service in missing], everything=not running)
                raise
            self._layout.unfinished.unlink()
            return True

    def down(self) -> int:
        """Stop every process of this platform, including those that a killed supervisor has left.

        Returns:
            The number of services and left-over processes that were stopped.
        """
        if not self._layout.home.exists():  # the user may have deleted it under a running platform
            return self._end_processes()
        with self._alone():
            return self._stop_everything()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop everything, and hold the lock that keeps other commands from starting or stopping services."""
        self._layout.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._layout.marker.touch()
        with self._alone():
            self._stop_everything()
            yield

    def clean(self) -> bool:
        """Stop everything and delete the home with all data in it.

        Returns:
            Whether there was something to delete.

        Raises:
            PlatformError: the folder does not look like a platform's home.
        """
        home = self._layout.home
        if not home.exists():
            return bool(self.down())
        if not self._layout.marker.exists() and not self._is_default_home():
            raise PlatformError(f"{home} is not the home of a platform", "check PLATFORM_HOME; nothing was deleted")
        self.down()
        # A killed restore leaves folders with passwords and data.
        for folder in (self._layout.restoring, self._layout.replaced):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(home)
        return True

    def running(self) -> list[str]:
        """Return the names of the services that run, are starting or are about to be started again."""
        ended = {"STOPPED", "EXITED", "FATAL"}
        return [name for name, state in self._supervisor.states().items() if state.state not in ended]

    def running_tasks(self) -> int:
        """Return how many processes run an Airflow task."""
        return len(processes.find_tasks(self._layout, self._session()))

    def status(self) -> list[ServiceStatus]:
        """Return the status of each service in start order; empty if the platform was never started."""
        if not self._layout.secrets.exists():
            return []
        states = self._supervisor.states()
        return [status_of(service, states.get(service.name)) for service in self.services()]

    @property
    def _supervisor(self) -> Supervisor:
        """A client with the current password: a rotation replaces it between a stop and a start."""
        return Supervisor(self._layout, supervisor_password(self._layout.secrets))

    def _wanted(self, names: Sequence[str]) -> list[Service]:
        known = {service.name: service for service in self.services()}
        if unknown := set(names) - set(known):
            raise PlatformError(f"no such service: {', '.join(sorted(unknown))}", f"choose from {', '.join(known)}")
        wanted = set(names or known)
        if KAFKA in wanted and self.settings.kafka_storage == "bucket":
            wanted.add(S3)
        return [service for service in known.values() if service.name in wanted]

    # --- starting

    def _make_home(self) -> None:
        home, marker = self._layout.home, self._layout.marker
        if home.exists() and not marker.exists() and any(home.iterdir()) and not self._is_default_home():
            raise PlatformError(f"{home} contains other files", "set PLATFORM_HOME to an empty folder")
        if self._layout.replaced.exists() and not self._layout.secrets.exists():
            raise PlatformError(
                f"a restore was killed before it replaced {home}",
                f"run `filegate restore` again, or rename the old home back: it is {self._layout.replaced}",
            )
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_disk(home, self._requested.platform_min_free_mb)
        # Other users may be able to pass through the home to PostgreSQL's folder; they must not read these folders.
        for folder in self._layout.private_folders:
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)  # an earlier version created them with wider permissions
        marker.write_text("The embedded platform keeps its state here. `make clean` deletes this folder.\n")

    def _is_default_home(self) -> bool:
        return self._layout.home == REPOSITORY / ".local"

    def _end_leftovers(self) -> None:
        if count := self._end_processes():
            self._progress.note(f"ended {count} processes of an earlier start")
        self._remove_traces()

    def _start_supervisor(self) -> None:
        postgres.prepare_user()
        with step(self._progress, "supervisor", "ready"):
            session = self._supervisor.start(self.services())
        record = {
            "ports": {name: getattr(self._requested, name) for name in PORTS},
            "shape": {name: getattr(self._requested, name) for name in SHAPE},
            "session": {"id": session.id, "leader_started": session.leader_started},
        }
        self._layout.instance.write_text(json.dumps(record))

    def _start(self, missing: list[Service]) -> None:
        """Start the stores, prepare their content, then start the services that Airflow calls, then Airflow."""
        settings, credentials = self.settings, self.credentials
        names = {service.name for service in missing}
        of_airflow = airflow.names(settings)
        # Configuration of running services is not rewritten: they have read some of the files and read others later.
        running = self._supervisor.states()
        if redis.NAME in names and not _runs(running, redis.NAME):
            redis.prepare(settings, credentials)
        if POSTGRES in names:
            with step(self._progress, "database cluster"):
                postgres.prepare_cluster(self._layout, credentials)
        if S3 in names and not _runs(running, S3):
            bucket.prepare_server(settings, credentials)
        self._start_together([service for service in missing if service.name in _FIRST])
        if S3 in names:
            with step(self._progress, "buckets"):
                bucket.prepare_buckets(settings, credentials)
            bucket_import.import_once(settings, credentials, self._progress)
        if KAFKA in names:
            broker.check_room(settings, credentials)
            self._start_together([service for service in missing if service.name == KAFKA])
        if POSTGRES in names:
            with step(self._progress, "databases and roles"):
                postgres.prepare_databases(settings, credentials)
            with step(self._progress, "warehouse migrations"):
                postgres.migrate_warehouse(self.warehouse_config("owner"))
        self._start_together([service for service in missing if service.name in _SECOND])
        if names.intersection(of_airflow):
            with step(self._progress, "airflow database"):
                airflow.prepare(settings, credentials)
            with step(self._progress, "dbt manifest"):
                self._prepare_manifest(missing)
        # MLflow creates its tables while Airflow starts.
        self._start_together([service for service in missing if service.name in {MLFLOW, *of_airflow}])

    def _prepare_manifest(self, services: list[Service]) -> None:
        """Update the dbt manifest, also while Airflow runs: a new model becomes a task."""
        of_airflow = airflow.names(self.settings)
        if any(service.name in of_airflow for service in services):
            dbt_manifest.prepare(self._layout.manifest)

    def _start_together(self, services: list[Service]) -> None:
        start_and_wait(services, self._supervisor, self._progress, self._requested.platform_start_seconds)

    def _undo_start(self, names: list[str], *, everything: bool) -> None:
        """Stop the services of a failed start."""
        if everything:
            self._stop_everything()
        elif self._supervisor.answering():
            self._supervisor.stop_programs(names, seconds=60)

    # --- stopping

    def _stop_everything(self) -> int:
        stopped = self._stop_in_order() if self._layout.secrets.exists() else 0
        stopped += self._end_processes()
        self._remove_traces()
        return stopped

    def _end_processes(self) -> int:
        count = processes.end_all(self._layout, self._session())
        seaweedfs.remove_sockets(self.settings)
        return count

    def _stop_in_order(self) -> int:
        """Stop Airflow before the stores that it writes to, and PostgreSQL last. Return the number of services."""
        if not self._supervisor.answering():
            return 0
        active = self.running()
        for title, group, seconds in (
            ("airflow", airflow.names(self.settings), 40),
            ("services", [MLFLOW, *_SECOND, redis.NAME, KAFKA, S3], 20),
            (POSTGRES, [POSTGRES], 70),
        ):
            if names := [name for name in group if name in active]:
                with step(self._progress, title, "stopped"):
                    self._supervisor.stop_programs(names, seconds)
        self._supervisor.shutdown()
        return len(active)

    def _remove_traces(self) -> None:
        """Delete files of the running instance, with PostgreSQL's lock: no process of the platform runs any more."""
        layout = self._layout
        layout.socket.unlink(missing_ok=True)
        if layout.socket.parent != layout.run and layout.socket.parent.exists():
            layout.socket.parent.rmdir()
        (layout.postgres / "postmaster.pid").unlink(missing_ok=True)
        shutil.rmtree(layout.run, ignore_errors=True)

    # --- the recorded state of the instance

    def _recorded(self) -> dict[str, dict[str, Any]]:
        try:
            recorded: dict[str, dict[str, Any]] = json.loads(self._layout.instance.read_text())
        except (OSError, ValueError):
            return {}
        return recorded

    def _unfinished(self) -> set[str]:
        """Return the services that were not ready at the end of an earlier start. Their preparation is repeated."""
        try:
            return set(json.loads(self._layout.unfinished.read_text()))
        except (OSError, ValueError):
            return set()

    def _session(self) -> Session | None:
        recorded = self._recorded().get("session")
        return Session(id=int(recorded["id"]), leader_started=recorded["leader_started"]) if recorded else None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock for starting and stopping services. It is reentrant, see `stopped`."""
        if self._has_lock:
            yield
            return
        with self._layout.lock.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PlatformError(
                    f"another command is starting or stopping the platform in {self._layout.home}",
                    "wait for it, or end it with Ctrl-C",
                ) from None
            self._has_lock = True
            try:
                yield
            finally:
                self._has_lock = False


def _runs(states: dict[str, ProgramState], name: str) -> bool:
    return name in states and states[name].running

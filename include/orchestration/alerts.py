"""Telling people of trouble: what is told of which run, whether it is news to them, and over which channel.

What belongs here: the glue between runs, the memory of what was told, and Airflow's notifiers. What does not: words
(`include.alerts.message`), tries and deadlines (`include.alerts.delivery`).

Nothing here fails a run: what goes wrong is logged. DAG files import this module: what sends is imported when it does.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException
from pydantic import ValidationError
from pydantic_settings import SettingsError

from include.errors import Code, PipelineError
from include.settings import alert_settings, ingest_settings, quality_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.alerts.message import Alert
    from include.contracts.model import Contract
    from include.settings import AlertSettings
    from include.stores.alert_memory import AlertMemory, Quarantined, Subject, Told
    from include.streams.consume import Consumed

ALERTS_SMTP = "alerts_smtp"

QUARANTINE, MESSAGES, QUALITY, RUN = "quarantine", "messages", "quality", "run"
_DEAD_LETTERS = "dead-letters"

log = logging.getLogger(__name__)


# --- files


def tell_of_quarantined_files(dataset: str) -> None:
    """Tell of a dataset's files that were quarantined since people were told last, or else in this run.

    Args:
        dataset: or `unknown`.
    """
    with _never_failing() as settings:
        if settings is not None:
            context: Any = get_current_context()
            _tell_of_files(dataset, context["dag_run"].start_date, settings)


def tell_of_files_held_back() -> None:
    """Tell of files of any dataset that were not told of in their time, once their causes are news again."""
    with _never_failing() as settings:
        if settings is not None:
            with _memory() as memory:
                datasets = memory.held_back(QUARANTINE)
            for dataset in datasets:
                _tell_of_files(dataset, datetime.now(UTC), settings)


def _tell_of_files(dataset: str, since: datetime, settings: AlertSettings) -> None:
    from include.stores.alert_memory import Subject

    subject, bucket = Subject(QUARANTINE, dataset), ingest_settings().landing_bucket
    with _memory() as memory:
        if not memory.begin(subject):
            # Whoever tells may have looked before these files came: the sweeper looks again.
            memory.held(subject, (), since, failed=False)
            return
        told = _told(memory, subject, settings)
        since = told.until or since
        found = memory.quarantined(dataset, bucket, since, settings.max_files)
        if found is None:
            if told.held_back:  # they were put back meanwhile
                memory.sent(subject, (), since, counted=told.held_back)
        elif not told.is_news(found.by_code):
            memory.held(subject, found.by_code, since, failed=False)
        elif _send(_files_alert(dataset, bucket, found), settings):
            memory.sent(subject, found.by_code, found.until, counted=told.held_back)
        else:
            memory.held(subject, found.by_code, since, failed=True)


def _files_alert(dataset: str, bucket: str, found: Quarantined) -> Alert:
    from include.alerts.message import Alert, Item, counted
    from include.ingestion.places import INCOMING, REPORT

    def place(key: str) -> str:
        """Where to read on: the report, or the object itself if the store refuses to move it."""
        return f"s3://{bucket}/{key}{'' if key.startswith(INCOMING) else REPORT}"

    total, newest = sum(found.by_code.values()), found.files[0]
    return Alert(
        about=dataset,
        happened=f"{counted(total, 'file')} quarantined",
        causes=found.by_code,
        items=tuple(
            Item(file.object_key.rsplit("/", maxsplit=1)[-1], file.code, place(file.settled_key))
            for file in found.files
        ),
        more=total - len(found.files),
        advice="Each report says what is wrong and what to do. Mend the file and drop it again, or trigger "
        "reprocess_failed once the cause is gone.",
        run_url=run_url(newest.dag_id, newest.run_id),
    )


# --- messages


@dataclass
class Watched:
    """What a task has done so far, for whom it concerns when it ends."""

    consumed: Consumed | None = None


@contextmanager
def telling_of_bad_messages(contract: Contract) -> Iterator[Watched]:
    """Tell at the end if a batch was stopped, if messages were removed unread, or if dead letters exceed the budget.

    What is raised inside goes on. Put it around everything, so that the broker is not waiting for the mail.
    """
    watched, code = Watched(), ""
    try:
        yield watched
    except (PipelineError, AirflowFailException) as error:
        code = _code(error)
        raise
    finally:
        with _never_failing() as settings:
            if settings is not None and watched.consumed is not None:
                _tell_of_messages(contract, watched.consumed, code, settings)


def _tell_of_messages(contract: Contract, consumed: Consumed, code: str, settings: AlertSettings) -> None:
    from include.alerts.message import Alert, counted
    from include.stores.alert_memory import Subject

    topic, stopped, letters = contract.topic or "", consumed.batches["stopped"], consumed.dead_letters
    causes, happened = {}, []
    if stopped:
        causes[code or "stopped"] = stopped
        happened.append(f"{counted(stopped, 'batch', 'batches')} stopped")
    if not contract.budget.allows(letters, consumed.messages - consumed.deletes_ignored):
        causes[_DEAD_LETTERS] = letters
        happened.append(counted(letters, "dead letter"))
    if consumed.removed:
        causes[Code.MESSAGES_REMOVED] = len(consumed.removed)
        happened.append("messages removed before they were read")
    if not causes:
        return
    alert = Alert(
        about=topic,
        happened=", ".join(happened),
        causes=causes,
        facts=(
            ("dataset", contract.dataset),
            ("messages done", f"{consumed.messages:,}"),
            ("bad messages are in", f"{topic}.dlq"),
            *(("removed unread", str(removed)) for removed in consumed.removed),
        ),
        advice="The task's log says what is wrong. Mend the producer or the contract; a stopped batch goes on by "
        f"itself then, or with ignore_threshold. make replay-dlq TOPIC={topic} puts dead letters back. What was "
        "removed unread is in the ledger as messages-removed: ask the producer to send it again.",
        run_url=_own_run_url(),
    )
    _tell(Subject(MESSAGES, topic), alert, settings)


# --- checks


@contextmanager
def telling_of_critical_checks() -> Iterator[None]:
    """Tell of the checks that have stopped what is inside. What is raised goes on."""
    began = datetime.now(UTC)
    try:
        yield
    except (PipelineError, AirflowFailException) as error:
        with _never_failing() as settings:
            if settings is not None and _code(error) == Code.QUALITY_CRITICAL:
                _tell_of_checks(began, settings)
        raise


def _tell_of_checks(began: datetime, settings: AlertSettings) -> None:
    from include.alerts.message import Alert, Item, counted
    from include.stores.alert_memory import Subject

    with _memory() as memory:
        failed = memory.critical_checks(began)
    context: Any = get_current_context()
    dag_id = context["dag"].dag_id
    alert = Alert(
        about=", ".join(sorted({dataset for dataset, _ in failed})) or dag_id,
        # None is found if the clock was set back meanwhile: it is told all the same.
        happened=f"{counted(len(failed), 'critical check') if failed else 'critical checks'} failed",
        causes={f"{dataset}: {check}": 1 for dataset, check in failed} or {Code.QUALITY_CRITICAL: 1},
        items=tuple(Item(f"{dataset}: {check}", Code.QUALITY_CRITICAL) for dataset, check in failed),
        facts=(("pages", f"s3://{quality_settings().docs_bucket}/index.html"),),
        advice="The task's log says what was seen, and holds a query that shows the rows.",
        run_url=_own_run_url(),
    )
    _tell(Subject(QUALITY, dag_id), alert, settings)


# --- runs


def tell_of_failed_run(context: Any) -> None:
    """Tell that a run has failed: for a DAG's on_failure_callback, which the DAG processor calls when the run is over.

    Args:
        context: what Airflow gives to callbacks.
    """
    with _never_failing() as settings:
        if settings is not None:
            _tell_of_run(context["dag"].dag_id, context["run_id"], settings)


def _tell_of_run(dag_id: str, run_id: str, settings: AlertSettings) -> None:
    from include.alerts.message import Alert, Item
    from include.stores.alert_memory import Subject

    failed = _failed_tasks(dag_id, run_id)
    listed = failed[: settings.max_files]
    alert = Alert(
        about=dag_id,
        happened="the run failed",
        causes=dict.fromkeys(failed, 1) or {"failed": 1},
        items=tuple(Item(task, "failed") for task in listed),
        more=len(failed) - len(listed),
        facts=(("run", run_id),),
        advice="The log of the failed task says why, and the DAG's page how to rerun it.",
        run_url=run_url(dag_id, run_id),
    )
    _tell(Subject(RUN, dag_id), alert, settings)


def _failed_tasks(dag_id: str, run_id: str) -> list[str]:
    """The tasks that have failed; none if nobody can say."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    try:
        states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id])
    except Exception as error:
        log.warning("The failed tasks of %s are not known. %s: %s", dag_id, type(error).__name__, error)
        return []
    return sorted(task for task, state in states.get(run_id, {}).items() if state == "failed")


# --- one message


def run_url(dag_id: str, run_id: str) -> str:
    """The page of a run in Airflow."""
    from airflow.sdk.configuration import conf

    base = str(conf.get("api", "base_url", fallback="") or "http://localhost:8080").rstrip("/")
    return f"{base}/dags/{quote(dag_id)}/runs/{quote(run_id)}"


def _own_run_url() -> str:
    context: Any = get_current_context()
    return run_url(context["dag"].dag_id, context["run_id"])


def _code(error: BaseException) -> str:
    """The code of one of our errors, or of the one that Airflow's was raised from."""
    ours = error if isinstance(error, PipelineError) else error.__cause__
    return ours.code if isinstance(ours, PipelineError) else ""


@contextmanager
def _never_failing() -> Iterator[AlertSettings | None]:
    """The settings if anybody is to be told, else None. What goes wrong inside is logged."""
    try:
        settings = alert_settings()
    except ValidationError as error:
        # Without the values: one of them may be a secret.
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        log.error("Nobody is told of anything: the settings ALERTS_* are wrong. %s", wrong)
        yield None
        return
    except SettingsError as error:  # JSON that is none; the message names the setting, and not its value
        log.error("Nobody is told of anything: the settings ALERTS_* are wrong. %s", error)
        yield None
        return
    try:
        yield settings if settings.on else None
    except Exception as error:
        log.error("Nobody was told. %s: %s", type(error).__name__, error)


def _tell(subject: Subject, alert: Alert, settings: AlertSettings) -> None:
    """Send it if it is news, and note that; without the warehouse nobody knows, and it is sent."""
    from include.stores.alert_memory import Told

    try:
        with _memory() as memory:
            told = _told(memory, subject, settings)
    except PipelineError as error:
        log.warning("What was told before is not known. %s", error)
        told = Told(None, frozenset(), 0)
    is_news = told.is_news(alert.causes)
    sent = is_news and _send(replace(alert, held_back=told.held_back), settings)
    try:
        with _memory() as memory:
            if sent:
                memory.sent(subject, alert.causes, counted=told.held_back)
            else:
                memory.held(subject, alert.causes, failed=is_news)
    except PipelineError as error:
        log.warning("It is not noted whether people were told. %s", error)


def _told(memory: AlertMemory, subject: Subject, settings: AlertSettings) -> Told:
    quiet = timedelta(minutes=settings.quiet_minutes).total_seconds()
    return memory.told(subject, quiet, settings.pause_seconds)


@contextmanager
def _memory() -> Iterator[AlertMemory]:
    from include.orchestration.stores import warehouse_ingest_config
    from include.stores.alert_memory import open_memory

    with open_memory(warehouse_ingest_config()) as memory:
        yield memory


def _send(alert: Alert, settings: AlertSettings) -> bool:
    from include.alerts.delivery import deliver

    # The fields are values and never templates: a file's name may hold {{ }}.
    fields = alert.fields()
    if sent := deliver(lambda: notifier(settings)({"alert": fields}), settings):
        log.info("People were told: %s", alert.subject)
    return sent


def notifier(settings: AlertSettings) -> Any:
    """The notifier of the settings, or one that sends a mail. Made anew for each try: rendering changes it.

    Its texts are Jinja templates, in which `alert.subject`, `alert.text`, `alert.html` and more are the message's.

    Raises:
        TypeError: the settings name something that is no notifier, or give it arguments that it does not take.
        ImportError, AttributeError, ValueError: they name nothing that can be imported.
    """
    if settings.notifier:
        from airflow.sdk import BaseNotifier

        module, _, name = settings.notifier.rpartition(".")
        kind = getattr(import_module(module), name)
        if not (isinstance(kind, type) and issubclass(kind, BaseNotifier)):
            raise TypeError(f"ALERTS_NOTIFIER names {settings.notifier}, which is no Airflow notifier")
        return kind(**settings.notifier_kwargs)
    from include.orchestration.mail import MailNotifier

    return MailNotifier(
        to=list(settings.addresses),
        from_email=settings.sender,
        subject="{{ alert.subject }}",
        text="{{ alert.text }}",
        html_content="{{ alert.html }}",
        mime_subtype="alternative",
        custom_headers={"Auto-Submitted": "auto-generated"},
        smtp_conn_id=ALERTS_SMTP,
        timeout_seconds=settings.timeout_seconds,
    )

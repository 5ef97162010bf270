"""Alerts: which alert a run sends, whether its cause is new to the recipients, and through which Airflow notifier.

What belongs here: the glue between runs, the state of earlier notifications, and Airflow's notifiers. What does not:
wording (`include.alerts.message`), attempts and deadlines (`include.alerts.delivery`).

Nothing here fails a run: errors are logged. DAG files import this module, so the modules that send are imported only
when an alert is sent.
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

from include.errors import Code, PipelineError, in_stage
from include.settings import alert_settings, ingest_settings, quality_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.alerts.message import Alert
    from include.contracts.model import Contract
    from include.settings import AlertSettings
    from include.stores.alert_memory import AlertMemory, NotificationState, Quarantined, Subject
    from include.streams.consume import Consumed

ALERTS_SMTP = "alerts_smtp"

QUARANTINE, MESSAGES, QUALITY, RUN = "quarantine", "messages", "quality", "run"
_DEAD_LETTERS = "dead-letters"

log = logging.getLogger(__name__)


# --- files


def notify_quarantined_files(dataset: str) -> None:
    """Send an alert for the files of a dataset that were quarantined since its last alert, or else in this run.

    Args:
        dataset: name of the dataset, or `unknown`.
    """
    with _never_failing() as settings:
        if settings is not None:
            context: Any = get_current_context()
            _notify_files(dataset, context["dag_run"].start_date, settings)


def notify_held_back_files() -> None:
    """Send the alerts for quarantined files of all datasets that were held back, if their quiet time is over."""
    with _never_failing() as settings:
        if settings is not None:
            with _memory() as memory:
                datasets = memory.held_back(QUARANTINE)
            for dataset in datasets:
                _notify_files(dataset, datetime.now(UTC), settings)


def _notify_files(dataset: str, since: datetime, settings: AlertSettings) -> None:
    from include.stores.alert_memory import Subject

    subject, bucket = Subject(QUARANTINE, dataset), ingest_settings().landing_bucket
    with _memory() as memory:
        if not memory.begin(subject):
            # The process that holds the subject may have missed these files: the next sweep reads the ledger again.
            memory.held(subject, (), since, failed=False)
            return
        state = _notification_state(memory, subject, settings)
        since = state.until or since
        found = memory.quarantined(dataset, bucket, since, settings.max_files)
        if found is None:
            if state.held_back:  # the files were requeued meanwhile
                memory.sent(subject, (), since, counted=state.held_back)
        elif not state.is_new_cause(found.by_code):
            memory.held(subject, found.by_code, since, failed=False)
        elif _send(_files_alert(dataset, bucket, found), settings):
            memory.sent(subject, found.by_code, found.until, counted=state.held_back)
        else:
            memory.held(subject, found.by_code, since, failed=True)


def _files_alert(dataset: str, bucket: str, found: Quarantined) -> Alert:
    from include.alerts.message import Alert, Item, counted
    from include.ingestion.object_keys import INCOMING, REPORT

    def location(key: str) -> str:
        """Return the URL of the file's report, or of the object itself if the store refused to move it."""
        return f"s3://{bucket}/{key}{'' if key.startswith(INCOMING) else REPORT}"

    total, newest = sum(found.by_code.values()), found.files[0]
    return Alert(
        about=dataset,
        happened=f"{counted(total, 'file')} quarantined",
        causes=found.by_code,
        items=tuple(
            Item(file.object_key.rsplit("/", maxsplit=1)[-1], file.code, location(file.settled_key))
            for file in found.files
        ),
        more=total - len(found.files),
        advice="Each report says what is wrong and what to do. Correct the file and drop it again, or trigger "
        "reprocess_failed once the cause is fixed.",
        run_url=run_url(newest.dag_id, newest.run_id),
    )


# --- messages


@dataclass
class Watched:
    """Holds the result of the consuming task, which the alert reads when the task ends."""

    consumed: Consumed | None = None


@contextmanager
def alert_on_bad_messages(contract: Contract) -> Iterator[Watched]:
    """Send an alert at the end if a batch stopped, messages were removed unread, or dead letters exceed the budget.

    Errors raised inside are re-raised. Make it the outermost context, so that the consumer is closed before the alert
    is sent.
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
                _notify_messages(contract, watched.consumed, code, settings)


def _notify_messages(contract: Contract, consumed: Consumed, code: str, settings: AlertSettings) -> None:
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
        details=(
            ("dataset", contract.dataset),
            ("messages done", f"{consumed.messages:,}"),
            ("bad messages are in", f"{topic}.dlq"),
            *(("removed unread", str(removed)) for removed in consumed.removed),
        ),
        advice="The task's log says what is wrong. Fix the producer or the contract: the next run then retries a "
        "stopped batch; or trigger the DAG with ignore_threshold. make replay-dlq "
        f"TOPIC={topic} sends dead letters to the topic again. Messages removed unread are in the ledger as "
        "messages-removed: ask the producer to send them again.",
        run_url=_own_run_url(),
    )
    _send_if_new(Subject(MESSAGES, topic), alert, settings)


# --- checks


@contextmanager
def alert_on_critical_checks() -> Iterator[None]:
    """Send an alert if a critical check fails inside. The error is re-raised."""
    began = datetime.now(UTC)
    try:
        yield
    except (PipelineError, AirflowFailException) as error:
        with _never_failing() as settings:
            if settings is not None and _code(error) == Code.QUALITY_CRITICAL:
                _notify_checks(began, settings)
        raise


def _notify_checks(began: datetime, settings: AlertSettings) -> None:
    from include.alerts.message import Alert, Item, counted
    from include.stores.alert_memory import Subject

    with _memory() as memory:
        failed = memory.critical_checks(began)
    context: Any = get_current_context()
    dag_id = context["dag"].dag_id
    alert = Alert(
        about=", ".join(sorted({dataset for dataset, _ in failed})) or dag_id,
        # If the clock was set back meanwhile, no check is found: the alert is sent without names.
        happened=f"{counted(len(failed), 'critical check') if failed else 'critical checks'} failed",
        causes={f"{dataset}: {check}": 1 for dataset, check in failed} or {Code.QUALITY_CRITICAL: 1},
        items=tuple(Item(f"{dataset}: {check}", Code.QUALITY_CRITICAL) for dataset, check in failed),
        details=(("pages", f"s3://{quality_settings().docs_bucket}/index.html"),),
        advice="The task's log shows the observed values and a query that returns the rows.",
        run_url=_own_run_url(),
    )
    _send_if_new(Subject(QUALITY, dag_id), alert, settings)


# --- runs


def notify_failed_run(context: Any) -> None:
    """Send an alert for a failed run; a DAG's `on_failure_callback`, which the DAG processor calls after the run.

    Args:
        context: Airflow's callback context.
    """
    with _never_failing() as settings:
        if settings is not None:
            _notify_run(context["dag"].dag_id, context["run_id"], settings)


def _notify_run(dag_id: str, run_id: str, settings: AlertSettings) -> None:
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
        details=(("run", run_id),),
        advice="The log of the failed task gives the reason. The DAG's page says how to rerun it.",
        run_url=run_url(dag_id, run_id),
    )
    _send_if_new(Subject(RUN, dag_id), alert, settings)


def _failed_tasks(dag_id: str, run_id: str) -> list[str]:
    """Return the ids of the failed tasks; an empty list if Airflow does not return the task states."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    try:
        states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id])
    except Exception as error:
        log.warning("Could not read the failed tasks of %s. %s: %s", dag_id, type(error).__name__, error)
        return []
    return sorted(task for task, state in states.get(run_id, {}).items() if state == "failed")


# --- one message


def run_url(dag_id: str, run_id: str) -> str:
    """Return the URL of a run in the Airflow UI."""
    from airflow.sdk.configuration import conf

    base = str(conf.get("api", "base_url", fallback="") or "http://localhost:8080").rstrip("/")
    return f"{base}/dags/{quote(dag_id)}/runs/{quote(run_id)}"


def _own_run_url() -> str:
    context: Any = get_current_context()
    return run_url(context["dag"].dag_id, context["run_id"])


def _code(error: BaseException) -> str:
    """Return the code of a PipelineError, or of the one that an Airflow exception was raised from; else ""."""
    original = error if isinstance(error, PipelineError) else error.__cause__
    return original.code if isinstance(original, PipelineError) else ""


@contextmanager
def _never_failing() -> Iterator[AlertSettings | None]:
    """Yield the settings, or None if alerts are off or the settings are wrong. Errors raised inside are logged."""
    try:
        settings = alert_settings()
    except ValidationError as error:
        # Without the values: one of them may be a secret.
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        log.error("No alerts are sent: correct the settings ALERTS_*. %s", wrong)
        yield None
        return
    except SettingsError as error:  # invalid JSON; the message names the setting, not its value
        log.error("No alerts are sent: correct the settings ALERTS_*. %s", error)
        yield None
        return
    try:
        yield settings if settings.on else None
    except Exception as error:
        log.error("The alert was not sent. %s: %s", type(error).__name__, error)


def _send_if_new(subject: Subject, alert: Alert, settings: AlertSettings) -> None:
    """Send the alert if its cause is new, and store that. If the state cannot be read, the alert is sent."""
    from include.stores.alert_memory import NotificationState

    try:
        with _memory() as memory:
            state = _notification_state(memory, subject, settings)
    except PipelineError as error:
        log.warning("Could not read which alerts were sent before, so this one is sent. %s", error)
        state = NotificationState(None, frozenset(), 0)
    is_new_cause = state.is_new_cause(alert.causes)
    sent = is_new_cause and _send(replace(alert, held_back=state.held_back), settings)
    try:
        with _memory() as memory:
            if sent:
                memory.sent(subject, alert.causes, counted=state.held_back)
            else:
                memory.held(subject, alert.causes, failed=is_new_cause)
    except PipelineError as error:
        log.warning("Could not store whether the alert was sent; it may be sent again. %s", error)


def _notification_state(memory: AlertMemory, subject: Subject, settings: AlertSettings) -> NotificationState:
    quiet = timedelta(minutes=settings.quiet_minutes).total_seconds()
    return memory.notification_state(subject, quiet, settings.pause_seconds)


@contextmanager
def _memory() -> Iterator[AlertMemory]:
    from include.orchestration.stores import warehouse_ingest_config
    from include.stores.alert_memory import open_memory

    with in_stage("alerts"), open_memory(warehouse_ingest_config()) as memory:
        yield memory


def _send(alert: Alert, settings: AlertSettings) -> bool:
    from include.alerts.delivery import deliver

    # The fields are passed as values, never as templates: a file name may contain {{ }}.
    fields = alert.fields()
    if sent := deliver(lambda: notifier(settings)({"alert": fields}), settings):
        log.info("Alert sent: %s", alert.subject)
    return sent


def notifier(settings: AlertSettings) -> Any:
    """Return a new notifier: the one of the settings, or one that sends a mail.

    Create one for each attempt, because rendering changes it. Its texts are Jinja templates; `alert.subject`,
    `alert.text`, `alert.html` and further fields hold the message.

    Raises:
        TypeError: ALERTS_NOTIFIER names a class that is not a notifier, or its arguments are wrong.
        ImportError, AttributeError, ValueError: ALERTS_NOTIFIER cannot be imported.
    """
    if settings.notifier:
        from airflow.sdk import BaseNotifier

        module, _, name = settings.notifier.rpartition(".")
        kind = getattr(import_module(module), name)
        if not (isinstance(kind, type) and issubclass(kind, BaseNotifier)):
            raise TypeError(f"ALERTS_NOTIFIER names {settings.notifier}, which is not an Airflow notifier")
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

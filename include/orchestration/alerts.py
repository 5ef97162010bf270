"""Alerts: which alert a run sends, whether its cause is new to the recipients, and through which Airflow notifier.

What belongs here: the content of each alert, the state of earlier ones in `ops.alert`, Airflow's notifiers. What does
not: the form of a message (`include.alerts.message`), attempts and deadlines (`include.alerts.delivery`).

Nothing here fails a run: errors are logged. DAG files import this module, so clients are imported when they are used.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any, ParamSpec
from urllib.parse import quote

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException
from pydantic import ValidationError

from include.alerts.delivery import deliver
from include.alerts.failed_elements import FailedElement, with_failed_elements
from include.alerts.message import Alert, Item, counted
from include.errors import Code, PipelineError, in_stage
from include.ingestion.object_keys import INCOMING, REPORT
from include.orchestration.stores import warehouse_ingest_config
from include.settings import alert_settings, ingest_settings, quality_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from include.contracts.model import Contract
    from include.streams.consume import Consumed

ALERTS_SMTP = "alerts_smtp"
# A cause whose alert was tried is not tried again before this. It is longer than the longest deadline: until then
# another process may be sending it.
_PAUSE = timedelta(minutes=2)
# In seconds. Short, so that an alert does not delay its run.
_LIMITS = {"connect_timeout": 5, "lock_timeout": 5, "statement_timeout": 15}

P = ParamSpec("P")
log = logging.getLogger(__name__)


def _never_failing(notify: Callable[P, None]) -> Callable[P, None]:
    """Call the function only if alerts are on, and log its errors."""

    @wraps(notify)
    def call(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            is_on = alert_settings().on
        except ValueError as error:
            # Without values: one may be a secret. The error about invalid JSON names only the setting.
            each = error.errors() if isinstance(error, ValidationError) else ()
            wrong = "; ".join(f"{one['loc'][0]}: {one['msg']}" for one in each) or error
            log.error("No alerts are sent: correct the settings ALERTS_*. %s", wrong)
            return
        try:
            if is_on:
                notify(*arguments, **options)
        except Exception as error:
            log.error("The alert was not sent. %s: %s", type(error).__name__, error)

    return call


@_never_failing
def notify_quarantined_files(dataset: str) -> None:
    """Send an alert for the files of a dataset that were quarantined since its last alert, or else in this run.

    Args:
        dataset: name of the dataset, or `unknown`.
    """
    context: Any = get_current_context()
    _notify_files(dataset, context["dag_run"].start_date)


@_never_failing
def notify_held_back_files() -> None:
    """Send the alerts for quarantined files of all datasets that were held back, if their quiet time is over."""
    for (dataset,) in _rows("alert_held_back", bucket=ingest_settings().landing_bucket):
        _notify_files(dataset, datetime.now(UTC))


def _notify_files(dataset: str, began: datetime) -> None:
    bucket, most = ingest_settings().landing_bucket, alert_settings().max_files
    [found] = _rows("alert_quarantined", dataset=dataset, bucket=bucket, began=began, most=most)
    since, until, by_code, files = found
    if not files:
        return
    total, items = sum(by_code.values()), []
    for key, code, settled_key, _, _ in files:
        # A file that the store refused to move has no report.
        report = "" if settled_key.startswith(INCOMING) else REPORT
        items.append(Item(key.rsplit("/", maxsplit=1)[-1], code, f"s3://{bucket}/{settled_key}{report}"))
    alert = Alert(
        about=dataset,
        happened=f"{counted(total, 'file')} quarantined",
        causes=by_code,
        items=tuple(items),
        more=total - len(items),
        advice="Each report says what is wrong and what to do. Correct the file and drop it again, or trigger "
        "reprocess_failed once the cause is fixed.",
        run_url=run_url(*files[0][3:]),
    )
    _send_if_new("quarantine", dataset, alert, since=since, until=until)


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
        if watched.consumed is not None:
            _notify_messages(contract, watched.consumed, code)


@_never_failing
def _notify_messages(contract: Contract, consumed: Consumed, code: str) -> None:
    topic, stopped, letters = contract.topic or "", consumed.batches["stopped"], consumed.dead_letters
    causes, happened = {}, []
    if stopped:
        causes[code or "stopped"] = stopped
        happened.append(f"{counted(stopped, 'batch', 'batches')} stopped")
    if not contract.budget.allows(letters, consumed.messages - consumed.deletes):
        causes["dead-letters"] = letters
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
        "stopped batch; or trigger the DAG with ignore_threshold. "
        f"`filegate replay-dlq --topic {topic}` sends dead letters to the topic again. Messages removed unread are in "
        "the ledger as messages-removed: ask the producer to send them again.",
        run_url=_own_run_url(),
    )
    _send_if_new("messages", topic, alert)


@contextmanager
def alert_on_critical_checks() -> Iterator[None]:
    """Send an alert if a critical check fails inside. The error is re-raised."""
    began = datetime.now(UTC)
    try:
        yield
    except (PipelineError, AirflowFailException) as error:
        if _code(error) == Code.QUALITY_CRITICAL:
            _notify_checks(began)
        raise


@_never_failing
def _notify_checks(began: datetime) -> None:
    context: Any = get_current_context()
    failed, dag_id = _rows("alert_critical_checks", since=began), context["dag"].dag_id
    names = [name for _, name in failed]
    alert = Alert(
        about=", ".join(sorted({dataset for dataset, _ in failed})) or dag_id,
        # If the clock was set back meanwhile, no check is found: the alert is sent without names.
        happened=f"{counted(len(names), 'critical check') if names else 'critical checks'} failed",
        causes=dict.fromkeys(names or [Code.QUALITY_CRITICAL], 1),
        items=tuple(Item(name, Code.QUALITY_CRITICAL) for name in names),
        details=(("pages", f"s3://{quality_settings().docs_bucket}/index.html"),),
        advice="The task's log shows the observed values and a query that returns the rows.",
        run_url=_own_run_url(),
    )
    _send_if_new("quality", dag_id, alert)


@_never_failing
def notify_failed_run(context: Any) -> None:
    """Send an alert for a failed run; a DAG's `on_failure_callback`, which the DAG processor calls after the run.

    Args:
        context: Airflow's callback context.
    """
    dag_id, run_id = context["dag"].dag_id, context["run_id"]
    alert = _failed_run(dag_id, run_id, _failed_tasks(dag_id, run_id))
    _send_if_new("run", dag_id, alert)


def _failed_run(dag_id: str, run_id: str, failed: list[str]) -> Alert:
    listed = failed[: alert_settings().max_files]
    return Alert(
        about=dag_id,
        happened="the run failed",
        causes=dict.fromkeys(failed or ["failed"], 1),
        items=tuple(Item(task, "failed") for task in listed),
        more=len(failed) - len(listed),
        details=(("run", run_id),),
        advice="The log of the failed task gives the reason. The DAG's page says how to rerun it.",
        run_url=run_url(dag_id, run_id),
    )


@_never_failing
def notify_failed_source(context: Any) -> None:
    """Send an alert for a failed run of `collect_<source>`: its elements, with code, message and remedy of each error.

    If no element failed in `ops.source_run`, the alert lists the failed tasks.

    Args:
        context: Airflow's callback context.
    """
    dag_id, run_id = context["dag"].dag_id, context["run_id"]
    source, tasks, found = dag_id.removeprefix("collect_"), _failed_tasks(dag_id, run_id), []
    try:
        found = _rows("alert_failed_elements", source=source, dag_id=dag_id, run_id=run_id)
    except PipelineError as error:
        log.warning("Could not read what the run of %s collected. %s", source, error)
    alert = replace(_failed_run(dag_id, run_id, tasks), details=(("source", source), ("run", run_id)))
    if found:
        elements, alert = [FailedElement(*row) for row in found], replace(alert, about=source)
        alert = with_failed_elements(alert, elements, len(tasks), alert_settings())
    _send_if_new("source", source, alert)


def _failed_tasks(dag_id: str, run_id: str) -> list[str]:
    """Return the ids of the failed tasks; an empty list if Airflow does not return the task states."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    try:
        states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id])
    except Exception as error:
        log.warning("Could not read the failed tasks of %s. %s: %s", dag_id, type(error).__name__, error)
        return []
    return sorted(task for task, state in states.get(run_id, {}).items() if state == "failed")


@_never_failing
def notify_waiting_files(dataset: str) -> None:
    """Send an alert if files or batches of a dataset have waited too long for the end of an outage."""
    waited = timedelta(minutes=alert_settings().waiting_minutes)
    if found := _rows("alert_waiting", dataset=dataset, waited=waited):
        _notify_waiting(dataset, {code: count for code, count, _ in found}, min(since for _, _, since in found))


@_never_failing
def notify_outage(awaited: str, code: str, began: datetime) -> None:
    """Send an alert about a store or broker that has not responded to a sensor since `began`.

    All sensors that wait for the same store or broker share one alert, as long as the warehouse is available.
    """
    _notify_waiting(code, {code: 1}, began, (("seen by the sensor for", awaited),))


def _notify_waiting(
    about: str, causes: dict[str, int], since: datetime, details: tuple[tuple[str, str], ...] = ()
) -> None:
    minutes = (datetime.now(UTC) - since).total_seconds() / 60
    alert = Alert(
        about=about,
        happened=f"waiting for {', '.join(sorted(causes))} for {minutes:.0f} minutes",
        causes=causes,
        details=(("since", f"{since:%Y-%m-%d %H:%M:%S} UTC"), *details),
        advice="Files and messages wait and are loaded automatically once the cause is gone; no run has to be started. "
        "The page of reason codes says what each code means and what to look at.",
        run_url=_own_run_url(),
    )
    _send_if_new("waiting", about, alert)


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


def _send_if_new(
    kind: str, about: str, alert: Alert, *, since: datetime | None = None, until: datetime | None = None
) -> None:
    """Send the alert unless its causes are quiet, and store that. If the state cannot be read, the alert is sent.

    The claim is stored before the attempt: an alert that fails, or whose process dies, is due again after a pause.

    Args:
        kind: separates alerts of different kinds about the same dataset, topic or DAG.
        about: key of the state: a dataset, topic, DAG or reason code.
        alert: the content.
        since: start of what the first alert reports; None for now.
        until: the alert reports everything up to this time; None for now.
    """
    key: dict[str, Any] = {"kind": kind, "about": about, "causes": sorted(alert.causes)}
    quiet = timedelta(minutes=alert_settings().quiet_minutes)
    try:
        [(due, is_claimed)] = _rows("claim_alert", **key, since=since, quiet=quiet, pause=_PAUSE)
    except PipelineError as error:
        log.warning("Could not read which alerts were sent before, so this one is sent. %s", error)
        due, is_claimed = 1, True
    held_back = 0 if until else due - 1  # a message that is about a period lists everything in it
    if not is_claimed or not _send(replace(alert, held_back=held_back)):
        return
    try:
        _rows("record_alert_sent", **key, until=until, due=due)
    except PipelineError as error:
        log.warning("Could not store that the alert was sent; it may be sent again. %s", error)


def _rows(name: str, **values: Any) -> list[tuple[Any, ...]]:
    """Run a statement of sql/statements on its own connection, with timeouts of a few seconds.

    Raises:
        RetryableError: the warehouse does not answer.
        PermanentError: it refuses this role.
    """
    from include.stores.sql_text import statement
    from include.stores.warehouse import connect, warehouse_errors

    config = warehouse_ingest_config().model_copy(update=_LIMITS)
    with in_stage("alerts"), connect(config) as connection, warehouse_errors():
        return connection.execute(statement(name), values).fetchall()


def _send(alert: Alert) -> bool:
    fields = alert.fields()
    if sent := deliver(lambda: _attempt(fields), alert_settings()):
        log.info("Alert sent: %s", fields["subject"])
    return sent


def _attempt(fields: dict[str, Any]) -> None:
    """Send the alert once, by mail or through the notifier of the settings, whose texts are Jinja templates.

    Raises:
        TypeError: ALERTS_NOTIFIER names a class that is not a notifier, or its arguments are wrong.
        ImportError, AttributeError, ValueError: ALERTS_NOTIFIER cannot be imported.
    """
    settings = alert_settings()
    if not settings.notifier:
        from include.orchestration.mail import send_mail

        send_mail(ALERTS_SMTP, fields, settings)
        return
    from airflow.sdk import BaseNotifier

    module, _, name = settings.notifier.rpartition(".")
    kind = getattr(import_module(module), name)
    if not (isinstance(kind, type) and issubclass(kind, BaseNotifier)):
        raise TypeError(f"ALERTS_NOTIFIER names {settings.notifier}, which is not an Airflow notifier")
    # The fields are passed as values, never as templates: a file name may contain {{ }}.
    kind(**settings.notifier_kwargs)({"alert": fields})

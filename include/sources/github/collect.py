"""One run over one endpoint of one repository: ask, keep the answers, drop one file, note how far it was read.

The note comes last. A crash before it repeats the run, and the dataset's key makes repeated records harmless.

The API lists the newest first, so a run that is stopped in the middle (by `max_pages`, a rate limit, a failure) has
read the newest and not what lies between them and the last run's. The next run goes on at the last page that was
read, until that listing is at its end, and only the one after asks for news: one gap at a time, and it closes.
Going on by pages and not by `until` is what loses nothing: commits are not strictly in the order of their times, and
any number may share one. Records that come meanwhile push older ones to later pages, where they are read again. Records
that vanish (a force push) pull unread ones to earlier pages. So the last record that was read has to be met again, on
the page that is read twice or behind it: all that was unread lies after it. Where the listing ends without it, or the
page is empty or refused, the listing is read anew, from the time that its address holds.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from include.errors import Code, PermanentError, PipelineError, RetryableError
from include.sources.github.client import excerpt
from include.sources.github.endpoints import SOURCE
from include.sources.github.flatten import line, time_of, value_at
from include.sources.github.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from include.settings import GithubSettings
    from include.sources.github.client import Answer, GithubClient
    from include.sources.github.endpoints import Endpoint
    from include.sources.github.objects import SourceObjects
    from include.sources.github.state import States

log = logging.getLogger(__name__)

NEWS, NO_NEWS, UNFINISHED, EMPTY = "news", "no news", "unfinished; the next run goes on", "empty repository"
FORGOTTEN = "everything is to be asked for"

_PAGE_GONE = {404, 410, 422}
_OF_THE_SOURCE = {Code.SOURCE_UNAVAILABLE, Code.SOURCE_REFUSED, Code.RATE_LIMITED}


@dataclass
class Collected:
    """What a run did with one endpoint of one repository. `answer` is what it met, in words."""

    repository: str
    endpoint: str
    answer: str = ""
    requests: int = 0
    not_modified: bool = False
    pages: int = 0
    records: int = 0
    waited_seconds: float = 0.0
    file_key: str | None = None
    raw_keys: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = f"{self.repository} {self.endpoint}: {self.answer}: {self.requests} requests, {self.pages} pages, "
        told += f"{self.records:,} records"
        if self.waited_seconds >= 1:
            told += f", waited {self.waited_seconds:.0f} s"
        return told + (f", file {self.file_key}" if self.file_key else "")

    def summary(self) -> dict[str, Any]:
        """Counts and the file's key: what one task may tell another."""
        return {
            "answer": self.answer,
            "requests": self.requests,
            "not modified": self.not_modified,
            "pages": self.pages,
            "records": self.records,
            "waited seconds": round(self.waited_seconds, 1),
            "file": self.file_key,
        }


@dataclass
class _Reading:
    """A listing as far as it was read.

    `opened` is its first page if that was read in this run, `last` the last page and `last_record` the last record on
    it; `sought` is the record that an earlier run read last, until it is met.
    """

    lines: list[bytes] = field(default_factory=list)
    newest_at: datetime | None = None
    opened: Answer | None = None
    last: str | None = None
    last_record: str | None = None
    sought: str | None = None
    finished: bool = False
    empty: bool = False

    def state(self, before: State) -> State:
        """What the next run has to know."""
        newest_at = max((at for at in (before.newest_at, self.newest_at) if at), default=None)
        if not self.finished:
            return State(newest_at, self.last, last_record=self.sought or self.last_record)
        if self.opened and self.opened.etag:
            return State(newest_at, self.opened.target, self.opened.etag)
        return State(newest_at)

    def begin_anew(self, first: str) -> None:
        """The listing is to be read from this page on, in this run or, where it is stopped now, in the next."""
        self.last, self.last_record, self.sought, self.finished = first, None, None, False


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Collector:
    """Reads endpoints of repositories, one after the other."""

    def __init__(
        self,
        client: GithubClient,
        objects: SourceObjects,
        states: States,
        settings: GithubSettings,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._client, self._objects, self._states = client, objects, states
        self._settings, self._clock = settings, clock

    def collect(self, repository: str, endpoint: Endpoint, *, full: bool = False, retry: bool = False) -> Collected:
        """Ask for what is new, and write it down.

        Args:
            repository: as owner/name.
            endpoint: of the table.
            full: ask for everything there is, whatever was read before.
            retry: an earlier try began with that: go on where it was stopped.

        Raises:
            RetryableError: the API, the bucket or the warehouse did not answer, or the limit is used up; what was
                read until then is kept.
            PermanentError: one of them refuses.
        """
        begun_at, done = self._clock(), Collected(repository, endpoint.name)
        requests, waited = self._client.requests, self._client.waited_seconds
        before = self._states.read(repository, endpoint.name)
        if full and not (retry and _reads_everything(before, endpoint)):
            # Noted beforehand: who comes next asks for everything too, if this run is stopped before it has an answer.
            before = State()
            self._states.save(repository, endpoint.name, before, FORGOTTEN)
        reading, failure = _Reading(), None
        try:
            self._read(before, reading, endpoint, done)
        except PipelineError as error:
            failure = error
        done.requests = self._client.requests - requests
        done.waited_seconds = self._client.waited_seconds - waited
        done.records = len(reading.lines)
        if reading.lines:
            done.file_key = self._objects.drop(endpoint, repository, begun_at, b"\n".join(reading.lines) + b"\n")
        done.answer = str(failure) if failure else _in_words(reading)
        self._note(repository, endpoint, before, reading, done)
        if failure:
            log.warning("%s", done)
            raise failure
        log.info("%s", done)
        return done

    def _note(self, repository: str, endpoint: Endpoint, before: State, reading: _Reading, done: Collected) -> None:
        if done.not_modified:
            self._states.save(repository, endpoint.name, before, done.answer)
        elif reading.finished or reading.last:
            self._states.save(repository, endpoint.name, reading.state(before), done.answer)
        else:
            self._states.failed(repository, endpoint.name, done.answer)

    def _read(self, state: State, reading: _Reading, endpoint: Endpoint, done: Collected) -> None:
        """Read pages into `reading`, until the listing ends or the run may read no more."""
        since = None
        if state.newest_at:
            since = state.newest_at - timedelta(hours=self._settings.overlap_hours)
        if state.unfinished:
            reading.sought = state.last_record
            self._resume(state.unfinished, reading, endpoint, done)
            return
        first = self._first(endpoint, done.repository, since)
        if state.request and state.etag:
            answer = self._news(state.request, state.etag, first)
            if answer.status == 304:
                done.not_modified = True
                return
            if answer.next and answer.target != first:
                # There is news. This listing reaches further back than it must: a narrower one has the same news.
                self._keep(answer, endpoint, done)
                answer = self._client.get(first)
        else:
            answer = self._client.get(first)
        self._follow(answer, reading, endpoint, done, self._settings.max_pages, since)

    def _news(self, request: str, etag: str, first: str) -> Answer:
        """The first page of the last listing, unless it is as it was; `first` where the API no longer takes that."""
        try:
            return self._client.get(request, etag)
        except PermanentError as error:
            if error.facts.get("status") not in _PAGE_GONE or request == first:
                raise
            log.warning("%s Asking anew.", error.message)
            return self._client.get(first)

    def _resume(self, request: str, reading: _Reading, endpoint: Endpoint, done: Collected) -> None:
        """Go on with a listing at the page that was read last."""
        try:
            answer = self._client.get(request)
        except PermanentError as error:
            if error.facts.get("status") not in _PAGE_GONE:
                raise
            answer = None
        pages = self._settings.max_pages
        if answer and answer.body.strip() != b"[]":
            # The page that is read twice does not count, or runs of one page would never get on.
            pages += 1
            self._follow(answer, reading, endpoint, done, pages, since=None, resumed=True)
            if not reading.finished or reading.sought is None:
                return
        log.warning("%s %s: its pages have changed; reading it anew.", done.repository, done.endpoint)
        first = self._first(endpoint, done.repository, _since_of(request, endpoint))
        reading.begin_anew(first)
        if done.pages < pages:
            self._follow(self._client.get(first), reading, endpoint, done, pages, since=None)

    def _follow(
        self,
        answer: Answer,
        reading: _Reading,
        endpoint: Endpoint,
        done: Collected,
        pages: int,
        since: datetime | None,
        *,
        resumed: bool = False,
    ) -> None:
        """Take an answer and those that it links to. Stops early where the API cannot be asked for less."""
        if not resumed:
            reading.opened = answer
        while True:
            if answer.status == 409:
                reading.finished = reading.empty = True
                return
            at, records = self._keep(answer, endpoint, done)
            done.pages += 1
            reading.last = answer.target
            met = [_identity(record, endpoint) for record in records]
            reading.last_record = met[-1] if met else None
            if reading.sought in met:
                reading.sought = None
            reading.lines += [line(record, endpoint.columns, done.repository, at) for record in records]
            times = [time for time in (time_of(record, endpoint) for record in records) if time]
            # A clock that runs ahead must not hide what comes after.
            reading.newest_at = max([time for time in times if time <= at] + _some(reading.newest_at), default=None)
            outlived = bool(not endpoint.since and since and times and max(times) < since)
            if not answer.next or outlived:
                reading.finished = True
                return
            if done.pages >= pages:
                return
            answer = self._client.get(answer.next)

    def _keep(self, answer: Answer, endpoint: Endpoint, done: Collected) -> tuple[datetime, list[object]]:
        """Store an answer as it came; when that was, and its records.

        Raises:
            RetryableError: it is no JSON.
            PermanentError: it is no list.
        """
        at = self._clock()
        key = self._objects.keep_answer(endpoint, at, answer.body)
        done.raw_keys.append(key)
        facts = {"request": answer.target, "raw": key}
        try:
            records = json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            message = f"The API's answer is no JSON that can be read; it begins with: {excerpt(answer.body)}"
            raise RetryableError(SOURCE, Code.SOURCE_UNAVAILABLE, message, **facts) from error
        if not isinstance(records, list):
            message = (
                f"The API's answer is no list of records; it begins with: {excerpt(answer.body)}. Check that the "
                "connection source_github leads to GitHub's API."
            )
            raise PermanentError(SOURCE, Code.SOURCE_REFUSED, message, **facts)
        return at, records

    def _first(self, endpoint: Endpoint, repository: str, since: datetime | None) -> str:
        return self._client.target(*endpoint.request(repository, self._settings.page_size, since))


def collect_all(
    collector: Collector,
    repositories: Sequence[str],
    endpoints: Sequence[Endpoint],
    *,
    full: bool = False,
    retry: bool = False,
) -> list[Collected]:
    """Collect each endpoint of each repository; one that fails does not stop the others. See `Collector.collect`.

    Raises:
        RetryableError: at least one failed in a way that a retry can mend, or (RATE_LIMITED) all that failed were
            stopped by the limit alone; the message names each that failed.
        PermanentError: one is refused, and a retry can mend no other.
    """
    collected: list[Collected] = []
    failures: dict[str, PipelineError] = {}
    wanted = [(repository, endpoint) for endpoint in endpoints for repository in repositories]
    for repository, endpoint in wanted:
        try:
            collected.append(collector.collect(repository, endpoint, full=full, retry=retry))
        except PipelineError as error:
            if error.code not in _OF_THE_SOURCE:
                raise
            failures[f"{repository} {endpoint.name}"] = error
    if failures:
        raise _together(failures, len(wanted))
    return collected


def _together(failures: dict[str, PipelineError], wanted: int) -> PipelineError:
    error = min(failures.values(), key=_rank)
    if wanted == 1:
        return error
    told = "; ".join(f"{name}: {failure.message}" for name, failure in failures.items())
    return type(error)(SOURCE, error.code, f"{len(failures)} of {wanted} failed: {told}")


def _rank(error: PipelineError) -> int:
    """What a retry can mend decides: the retry says again what it cannot. The limit never hides another failure."""
    if error.code is Code.RATE_LIMITED:
        return 2
    return 0 if isinstance(error, RetryableError) else 1


def _in_words(reading: _Reading) -> str:
    if reading.empty:
        return EMPTY
    if reading.last and not reading.finished:
        return UNFINISHED
    return NEWS if reading.lines else NO_NEWS


def _reads_everything(state: State, endpoint: Endpoint) -> bool:
    """Whether the next run goes on with a listing of everything, or begins one."""
    return state == State() or bool(state.unfinished and not _since_of(state.unfinished, endpoint))


def _identity(record: object, endpoint: Endpoint) -> str | None:
    value = value_at(record, endpoint.identity)
    return None if value is None else str(value)


def _since_of(request: str, endpoint: Endpoint) -> datetime | None:
    """The time that a request asks from."""
    values = parse_qs(urlsplit(request).query).get(endpoint.since or "", [])
    return datetime.fromisoformat(values[0]) if values else None


def _some(moment: datetime | None) -> list[datetime]:
    return [moment] if moment else []

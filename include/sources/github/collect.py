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

Within a run the same is looked at after each page: the page before it is asked again with its ETag. Where it has
changed, records came or went between the two requests; it is read again and so is the page after it, until both fit.

Times that decide are the API's own: of the records, and of the answer's Date header. A wrong clock of this machine
changes names of objects and no row.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from include.errors import Code, PermanentError, PipelineError, RetryableError
from include.sources.github.client import excerpt
from include.sources.github.endpoints import SOURCE
from include.sources.github.pages import check_difference, check_progress, get_page
from include.sources.github.reading import Collected, PagesMovedError, Reading, identities_of
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

# So often two neighbouring pages are read again because records were added or removed between them.
_MOST_LOOKS = 5

_PAGE_GONE = {404, 410, 422}
_OF_THE_SOURCE = {Code.SOURCE_UNAVAILABLE, Code.SOURCE_REFUSED, Code.RATE_LIMITED}


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
        reading, failure = Reading(), None
        try:
            self._read(before, reading, endpoint, done)
        except PipelineError as error:
            failure = error
        done.requests = self._client.requests - requests
        done.waited_seconds = self._client.waited_seconds - waited
        done.records = len(reading.lines)
        if reading.lines:
            done.file_key = self._objects.drop(endpoint, repository, begun_at, reading.body())
        done.answer = str(failure) if failure else _in_words(reading)
        self._note(repository, endpoint, before, reading, done)
        if failure:
            log.warning("%s", done)
            raise failure
        log.info("%s", done)
        return done

    def _note(self, repository: str, endpoint: Endpoint, before: State, reading: Reading, done: Collected) -> None:
        if done.not_modified:
            self._states.save(repository, endpoint.name, before, done.answer)
        elif reading.finished or reading.last:
            self._states.save(repository, endpoint.name, reading.state(before), done.answer)
        else:
            self._states.failed(repository, endpoint.name, done.answer)

    def _read(self, state: State, reading: Reading, endpoint: Endpoint, done: Collected) -> None:
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
                answer = get_page(self._client, first)
        else:
            answer = get_page(self._client, first)
        try:
            self._follow(answer, reading, endpoint, done, self._settings.max_pages, since)
        except PagesMovedError:
            self._read_anew(answer.target, reading, endpoint, done, self._settings.max_pages)

    def _news(self, request: str, etag: str, first: str) -> Answer:
        """The first page of the last listing, unless it is as it was; `first` where the API no longer takes that."""
        try:
            return get_page(self._client, request, etag)
        except PermanentError as error:
            if error.facts.get("status") not in _PAGE_GONE or request == first:
                raise
            log.warning("%s Asking anew.", error.message)
            return get_page(self._client, first)

    def _resume(self, request: str, reading: Reading, endpoint: Endpoint, done: Collected) -> None:
        """Go on with a listing at the page that was read last."""
        try:
            answer = get_page(self._client, request)
        except PermanentError as error:
            if error.facts.get("status") not in _PAGE_GONE:
                raise
            answer = None
        pages = self._settings.max_pages
        if answer and answer.body.strip() != b"[]":
            # The page that is read twice does not count, or runs of one page would never get on.
            pages += 1
            with suppress(PagesMovedError):
                self._follow(answer, reading, endpoint, done, pages, since=None, resumed=True)
                if not reading.finished or reading.sought is None:
                    return
        self._read_anew(request, reading, endpoint, done, pages)

    def _read_anew(self, request: str, reading: Reading, endpoint: Endpoint, done: Collected, pages: int) -> None:
        """Read the listing that a request is of from its first page; the next run does where this one may not."""
        log.warning("%s %s: its pages have changed; reading it anew.", done.repository, done.endpoint)
        first = self._first(endpoint, done.repository, _since_of(request, endpoint))
        reading.begin_anew(first)
        if done.pages < pages:
            try:
                self._follow(get_page(self._client, first), reading, endpoint, done, pages, since=None)
            except PagesMovedError:
                reading.begin_anew(first)

    def _follow(
        self,
        answer: Answer,
        reading: Reading,
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
            times = self._take(answer, reading, endpoint, done)
            done.pages += 1
            reading.requests.add(answer.target)
            outlived = bool(not endpoint.since and since and times and max(times) < since)
            if not answer.next or outlived:
                reading.finished = True
                return
            check_progress(answer, reading.requests)
            if done.pages >= pages:
                return
            following = self._following(answer, reading, endpoint, done)
            if following is None:
                reading.finished = True
                return
            answer = following

    def _take(self, answer: Answer, reading: Reading, endpoint: Endpoint, done: Collected) -> list[datetime]:
        """Keep a page and read its records; their times."""
        return reading.take(answer, self._keep(answer, endpoint, done), endpoint, done.repository)

    def _following(self, answer: Answer, reading: Reading, endpoint: Endpoint, done: Collected) -> Answer | None:
        """The page after, once it is sure that no record has moved from the one to the other unread; None at the end.

        Raises:
            PagesMovedError: so many records were removed that what was read is on no page near.
            RetryableError: the pages change faster than they are read.
        """
        for _ in range(_MOST_LOOKS):
            if not answer.next:
                return None
            following = get_page(self._client, answer.next)
            check_difference(answer, following)
            again = get_page(self._client, answer.target, answer.etag)
            if again.status == 304 or identities_of(again, endpoint) == identities_of(answer, endpoint):
                return following
            log.warning("%s %s: records have moved between pages.", done.repository, done.endpoint)
            known = any(identity in reading.lines for identity in identities_of(again, endpoint))
            self._take(again, reading, endpoint, done)
            if reading.opened is answer:
                reading.opened = again
            elif not known:
                raise PagesMovedError
            answer = again
        message = f"The listing changed {_MOST_LOOKS} times while two of its pages were read. The next try goes on."
        raise RetryableError(SOURCE, Code.SOURCE_UNAVAILABLE, message, page=answer.target)

    def _keep(self, answer: Answer, endpoint: Endpoint, done: Collected) -> list[object]:
        """Store an answer as it came; its records.

        Raises:
            RetryableError: it is no JSON.
            PermanentError: it is no list.
        """
        key = self._objects.keep_answer(endpoint, self._clock(), answer.body)
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
        return records

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


def _in_words(reading: Reading) -> str:
    if reading.empty:
        return EMPTY
    if reading.last and not reading.finished:
        return UNFINISHED
    return NEWS if reading.lines else NO_NEWS


def _reads_everything(state: State, endpoint: Endpoint) -> bool:
    """Whether the next run goes on with a listing of everything, or begins one."""
    return state == State() or bool(state.unfinished and not _since_of(state.unfinished, endpoint))


def _since_of(request: str, endpoint: Endpoint) -> datetime | None:
    """The time that a request asks from."""
    values = parse_qs(urlsplit(request).query).get(endpoint.since or "", [])
    return datetime.fromisoformat(values[0]) if values else None

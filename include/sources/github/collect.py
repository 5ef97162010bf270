"""One run for one endpoint of one repository: read pages, store raw responses, write one file, store the state.

The state is stored last. After a crash before that, the next run reads the same records again; the dataset's key merges
them.

The API lists the newest records first, so a run that is stopped early (by `max_pages`, the rate limit, an error) has
read the newest records but not those between them and the last run. The next run continues at the last page that was
read, until that listing is complete; only the run after that requests new records. So there is never more than one gap.
Continuing by page and not by time loses no record: commits are not strictly ordered by time, and several may have the
same time. Records that are added meanwhile move older ones to later pages, where they are read again. Records that are
removed (a force push) move unread ones to earlier pages. So the last record that was read must be found again, on the
page that is read twice or on a later one: all unread records come after it. If the listing ends without it, or the page
is empty or refused, the listing is read again from its first page, with the `since` of its request.

Within a run the same is checked after each page: the page before it is requested again with its ETag. If it has
changed, records were added or removed between the two requests; both pages are read again until they are consistent.

All decisions use times of the API: of the records, and of the Date header. A wrong clock of this machine only changes
object keys.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from include.errors import Code, PermanentError, PipelineError, RetryableError, in_stage
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

NEW_RECORDS, NO_NEW_RECORDS, EMPTY = "new records", "no new records", "empty repository"
UNFINISHED = "unfinished; the next run continues"
RESET = "all records will be read"

# Maximum number of times that two neighbouring pages are read because records were added or removed between them.
_MAX_PAGE_READS = 5

_PAGE_GONE = {404, 410, 422}
_OF_THE_SOURCE = {Code.SOURCE_UNAVAILABLE, Code.SOURCE_REFUSED, Code.RATE_LIMITED}


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


class Collector:
    """Collects records of one endpoint of one repository at a time."""

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
        """Read the new records of an endpoint, write them to a file, and store the state.

        Args:
            repository: owner/name.
            endpoint: an entry of the table of endpoints.
            full: read all records, whatever was read before.
            retry: an earlier attempt started the full read: continue where it stopped.

        Raises:
            RetryableError: the API, the bucket or the warehouse did not respond, or the limit is used up; what was
                read until then is kept.
            PermanentError: one of them refuses.
        """
        begun_at, done = self._clock(), Collected(repository, endpoint.name)
        requests, waited = self._client.requests, self._client.waited_seconds
        before = self._states.read(repository, endpoint.name)
        if full and not (retry and _reads_everything(before, endpoint)):
            # Stored first: if this run stops before the first response, the next run reads all records too.
            before = State()
            self._states.save(repository, endpoint.name, before, RESET)
        reading, failure = Reading(), None
        try:
            with in_stage(SOURCE):
                self._read(before, reading, endpoint, done)
        except PipelineError as error:
            failure = error
        done.requests = self._client.requests - requests
        done.waited_seconds = self._client.waited_seconds - waited
        done.records = len(reading.lines)
        if reading.lines:
            done.file_key = self._objects.drop(endpoint, repository, begun_at, reading.body())
        done.answer = str(failure) if failure else _outcome(reading)
        self._store_state(repository, endpoint, before, reading, done)
        if failure:
            log.warning("%s", done)
            raise failure
        log.info("%s", done)
        return done

    def _store_state(
        self, repository: str, endpoint: Endpoint, before: State, reading: Reading, done: Collected
    ) -> None:
        if done.not_modified:
            self._states.save(repository, endpoint.name, before, done.answer)
        elif reading.finished or reading.last:
            self._states.save(repository, endpoint.name, reading.state(before), done.answer)
        else:
            self._states.failed(repository, endpoint.name, done.answer)

    def _read(self, state: State, reading: Reading, endpoint: Endpoint, done: Collected) -> None:
        """Read pages into `reading`, until the listing ends or the page limit of the run is reached."""
        since = None
        if state.newest_at:
            since = state.newest_at - timedelta(hours=self._settings.overlap_hours)
        if state.unfinished:
            reading.sought = state.last_record
            self._resume(state.unfinished, reading, endpoint, done)
            return
        first = self._first(endpoint, done.repository, since)
        if state.request and state.etag:
            answer = self._if_modified(state.request, state.etag, first)
            if answer.status == 304:
                done.not_modified = True
                return
            if answer.next and answer.target != first:
                # There are new records. This listing goes back further than needed: a shorter one has them too.
                self._keep(answer, endpoint, done)
                answer = get_page(self._client, first)
        else:
            answer = get_page(self._client, first)
        try:
            self._follow(answer, reading, endpoint, done, self._settings.max_pages, since)
        except PagesMovedError:
            self._read_again(answer.target, reading, endpoint, done, self._settings.max_pages)

    def _if_modified(self, request: str, etag: str, first: str) -> Answer:
        """Request the first page of the last listing with its ETag, or `first` if the API refuses that request."""
        try:
            return get_page(self._client, request, etag)
        except PermanentError as error:
            if error.details.get("status") not in _PAGE_GONE or request == first:
                raise
            log.warning("%s Requesting the first page of a new listing.", error.message)
            return get_page(self._client, first)

    def _resume(self, request: str, reading: Reading, endpoint: Endpoint, done: Collected) -> None:
        """Continue a listing at the last page that was read."""
        try:
            answer = get_page(self._client, request)
        except PermanentError as error:
            if error.details.get("status") not in _PAGE_GONE:
                raise
            answer = None
        pages = self._settings.max_pages
        if answer and answer.body.strip() != b"[]":
            # The page that is read twice does not count, otherwise runs of one page would make no progress.
            pages += 1
            with suppress(PagesMovedError):
                self._follow(answer, reading, endpoint, done, pages, since=None, resumed=True)
                if not reading.finished or reading.sought is None:
                    return
        self._read_again(request, reading, endpoint, done, pages)

    def _read_again(self, request: str, reading: Reading, endpoint: Endpoint, done: Collected, pages: int) -> None:
        """Read the listing of a request from its first page; at the page limit this is left to the next run."""
        log.warning(
            "%s %s: the pages have changed; reading the listing from its first page.", done.repository, done.endpoint
        )
        first = self._first(endpoint, done.repository, _since_of(request, endpoint))
        reading.restart(first)
        if done.pages < pages:
            try:
                self._follow(get_page(self._client, first), reading, endpoint, done, pages, since=None)
            except PagesMovedError:
                reading.restart(first)

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
        """Read a page and the pages after it.

        Without a `since` parameter in the API, reading stops at a page whose records are all older than `since`.
        """
        if not resumed:
            reading.opened = answer
        while True:
            if answer.status == 409:
                reading.finished = reading.empty = True
                return
            times = self._take(answer, reading, endpoint, done)
            done.pages += 1
            reading.requests.add(answer.target)
            is_older = bool(not endpoint.since and since and times and max(times) < since)
            if not answer.next or is_older:
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
        """Store the raw page, add its records, and return their times."""
        return reading.take(answer, self._keep(answer, endpoint, done), endpoint, done.repository)

    def _following(self, answer: Answer, reading: Reading, endpoint: Endpoint, done: Collected) -> Answer | None:
        """Return the next page after checking that no record moved between both pages unread; None at the end.

        Raises:
            PagesMovedError: so many records were removed that no known record is on these pages.
            RetryableError: the pages change faster than they are read.
        """
        for _ in range(_MAX_PAGE_READS):
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
        message = (
            f"The listing changed {_MAX_PAGE_READS} times while two of its pages were read. The next attempt continues."
        )
        raise RetryableError(Code.SOURCE_UNAVAILABLE, message, page=answer.target)

    def _keep(self, answer: Answer, endpoint: Endpoint, done: Collected) -> list[object]:
        """Store a raw response, and return its records.

        Raises:
            RetryableError: it is not JSON.
            PermanentError: it is not a list.
        """
        key = self._objects.keep_answer(endpoint, self._clock(), answer.body)
        done.raw_keys.append(key)
        details = {"request": answer.target, "raw": key}
        try:
            records = json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            message = f"The API's response is not valid JSON; it begins with: {excerpt(answer.body)}"
            raise RetryableError(Code.SOURCE_UNAVAILABLE, message, **details) from error
        if not isinstance(records, list):
            message = (
                f"The API's response is not a list of records; it begins with: {excerpt(answer.body)}. Check that the "
                "connection source_github has the address of GitHub's API."
            )
            raise PermanentError(Code.SOURCE_REFUSED, message, **details)
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
    """Collect each endpoint of each repository; a failed one does not stop the others. See `Collector.collect`.

    Raises:
        RetryableError: a retry can help at least one failed endpoint, or (RATE_LIMITED) all of them were stopped by the
            rate limit; the message names each failed one.
        PermanentError: at least one was refused, and a retry can help none.
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
        raise _combined(failures, len(wanted))
    return collected


def _combined(failures: dict[str, PipelineError], wanted: int) -> PipelineError:
    error = min(failures.values(), key=_rank)
    if wanted == 1:
        return error
    messages = "; ".join(f"{name}: {failure.message}" for name, failure in failures.items())
    return type(error)(error.code, f"{len(failures)} of {wanted} failed: {messages}")


def _rank(error: PipelineError) -> int:
    """Rank retryable errors first: the retry reports the others again. The rate limit never hides another failure."""
    if error.code is Code.RATE_LIMITED:
        return 2
    return 0 if isinstance(error, RetryableError) else 1


def _outcome(reading: Reading) -> str:
    if reading.empty:
        return EMPTY
    if reading.last and not reading.finished:
        return UNFINISHED
    return NEW_RECORDS if reading.lines else NO_NEW_RECORDS


def _reads_everything(state: State, endpoint: Endpoint) -> bool:
    """Return whether the next run continues or starts a listing of all records."""
    return state == State() or bool(state.unfinished and not _since_of(state.unfinished, endpoint))


def _since_of(request: str, endpoint: Endpoint) -> datetime | None:
    """Return the `since` time of a request; None if it has none."""
    values = parse_qs(urlsplit(request).query).get(endpoint.since or "", [])
    return datetime.fromisoformat(values[0]) if values else None

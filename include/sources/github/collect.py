"""One run for one endpoint of one repository: read pages, store raw responses, write one file, store the state.

The state is stored last. After a crash before that, the next run reads the same records again; the dataset's key merges
them.

The state is a watermark and a cursor. A new listing starts at the newest time that was read, minus the overlap. The API
lists the newest records first, so a run that is stopped early (by `max_pages`, the rate limit, an error) has not read
those between its last page and the run before. The cursor is that page with the last record on it: the next run
continues there, until the listing is complete, and only the run after that requests new records. So there is never more
than one gap. A cursor by page and not by time loses no record: commits are not strictly ordered by time, and several
may have the same time.

Records that are added meanwhile move older ones to later pages, where they are read again. Records that are removed (a
force push) move unread ones to earlier pages. So the last record that was read must be found again, on the page that is
read twice or on a later one: all unread records come after it. If the listing ends without it, or the page is empty or
refused, the listing is read again from its first page, with the `since` of its request. Within a run the same is
checked after each page: the page before it is requested again with its ETag, and read again if it has changed.

All decisions use times of the API: of the records, and of the Date header. A wrong clock of this machine only changes
object keys.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from include.errors import Code, PermanentError, PipelineError, RetryableError, in_stage
from include.sources.github.endpoints import SOURCE
from include.sources.github.pages import Reading, check_difference, check_progress, get_page, identities_of
from include.sources.github.storage import State
from include.stores.http_response import excerpt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from include.settings import GithubSettings
    from include.sources.github.client import Answer, GithubClient
    from include.sources.github.endpoints import Endpoint
    from include.sources.github.storage import SourceObjects, States

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


@dataclass(frozen=True)
class Collected:
    """The result of a run for one endpoint of one repository. `answer` is the outcome in words."""

    repository: str
    endpoint: str
    answer: str
    requests: int
    not_modified: bool
    pages: int
    records: int
    waited_seconds: float
    file_key: str | None
    raw_keys: list[str]

    def __str__(self) -> str:
        summary = f"{self.repository} {self.endpoint}: {self.answer}: {self.requests} requests, {self.pages} pages, "
        summary += f"{self.records:,} records"
        if self.waited_seconds >= 1:
            summary += f", waited {self.waited_seconds:.0f} s"
        return summary + (f", file {self.file_key}" if self.file_key else "")

    def summary(self) -> dict[str, Any]:
        """Return the counts and the file's key, for XCom."""
        return {
            "answer": self.answer,
            "requests": self.requests,
            "not modified": self.not_modified,
            "pages": self.pages,
            "records": self.records,
            "waited seconds": round(self.waited_seconds, 1),
            "file": self.file_key,
        }


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
        begun_at, reading, failure = self._clock(), Reading(endpoint, repository), None
        requests, waited = self._client.requests, self._client.waited_seconds
        before = self._states.read(repository, endpoint.name)
        if full and not (retry and _reads_everything(before, endpoint)):
            # Stored first: if this run stops before the first response, the next run reads all records too.
            before = State()
            self._states.save(repository, endpoint.name, before, RESET)
        try:
            with in_stage(SOURCE):
                self._read(before, reading)
        except PipelineError as error:
            failure = error
        lines = reading.lines
        done = Collected(
            repository,
            endpoint.name,
            str(failure) if failure else _outcome(reading),
            self._client.requests - requests,
            reading.not_modified,
            reading.pages,
            len(lines),
            self._client.waited_seconds - waited,
            self._objects.drop(endpoint, repository, begun_at, reading.body()) if lines else None,
            reading.raw_keys,
        )
        self._states.save(repository, endpoint.name, reading.state(before), done.answer)
        if failure:
            log.warning("%s", done)
            raise failure
        log.info("%s", done)
        return done

    def _read(self, state: State, reading: Reading) -> None:
        """Read pages into `reading`, until the listing ends or the page limit of the run is reached."""
        pages, start = self._settings.max_pages, state.unfinished
        if start:
            # The page that is read twice does not count, otherwise runs of one page would make no progress.
            reading.sought, pages = state.last_record, pages + 1
            answer = self._page(start)
            if answer and answer.body.strip() == b"[]":
                answer = None
        else:
            answer = reading.opened = self._first_page(state, reading)
            start = answer.target
        if answer and not reading.not_modified:
            self._follow(answer, reading, pages)
        if answer and not reading.has_gap:
            return
        log.warning(
            "%s %s: the pages have changed; reading the listing from its first page.",
            reading.repository,
            reading.endpoint.name,
        )
        first = self._first(reading, _since_of(start, reading.endpoint))
        reading.restart(first)
        if reading.pages < pages:
            reading.opened = get_page(self._client, first)
            self._follow(reading.opened, reading, pages)
            if reading.has_gap:
                reading.restart(first)

    def _first_page(self, state: State, reading: Reading) -> Answer:
        """Return the first page of the records since the watermark, or a 304 if the last listing has not changed."""
        since = state.newest_at - timedelta(hours=self._settings.overlap_hours) if state.newest_at else None
        first = self._first(reading, since)
        if not reading.endpoint.since:
            reading.until = since
        if not state.request or not state.etag:
            return get_page(self._client, first)
        if state.request == first:
            answer = get_page(self._client, first, state.etag)
        else:
            answer = self._page(state.request, state.etag) or get_page(self._client, first)
        if answer.status == 304:
            reading.not_modified = True
        elif answer.next and answer.target != first:
            # There are new records. This listing goes back further than needed: a shorter one has them too.
            self._keep(answer, reading)
            return get_page(self._client, first)
        return answer

    def _page(self, target: str, etag: str | None = None) -> Answer | None:
        """Return a page; None if its address is no longer valid."""
        try:
            return get_page(self._client, target, etag)
        except PermanentError as error:
            if error.details.get("status") not in _PAGE_GONE:
                raise
            log.warning("%s Requesting the first page of a new listing.", error.message)
            return None

    def _follow(self, answer: Answer | None, reading: Reading, pages: int) -> None:
        """Read a page and the pages after it, until the listing ends or `pages` were read."""
        while answer:
            if answer.status == 409:
                reading.empty = True
                break
            times = reading.take(answer, self._keep(answer, reading))
            reading.pages += 1
            is_older = reading.until and times and max(times) < reading.until
            if not answer.next or is_older:
                break
            check_progress(answer, reading.requests)
            if reading.pages >= pages:
                return
            answer = self._following(answer, reading)
        reading.finished = True

    def _following(self, answer: Answer, reading: Reading) -> Answer | None:
        """Return the next page after checking that no record moved between both pages unread; None at the end.

        Raises:
            RetryableError: the pages change faster than they are read.
        """
        for _ in range(_MAX_PAGE_READS):
            if not answer.next:
                return None
            following = get_page(self._client, answer.next)
            check_difference(answer, following)
            again = get_page(self._client, answer.target, answer.etag)
            identities = identities_of(again, reading.endpoint)
            if again.status == 304 or identities == identities_of(answer, reading.endpoint):
                return following
            log.warning("%s %s: records have moved between pages.", reading.repository, reading.endpoint.name)
            known = any(identity in reading.lines for identity in identities)
            reading.take(again, self._keep(again, reading))
            if reading.opened is answer:
                reading.opened = again
            elif not known:
                reading.moved = True
                return None
            answer = again
        message = (
            f"The listing changed {_MAX_PAGE_READS} times while two of its pages were read. The next attempt continues."
        )
        raise RetryableError(Code.SOURCE_UNAVAILABLE, message, page=answer.target)

    def _keep(self, answer: Answer, reading: Reading) -> list[object]:
        """Store a raw response, and return its records.

        Raises:
            RetryableError: it is not JSON.
            PermanentError: it is not a list.
        """
        key = self._objects.keep_answer(reading.endpoint, self._clock(), answer.body)
        reading.raw_keys.append(key)
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

    def _first(self, reading: Reading, since: datetime | None) -> str:
        path, query = reading.endpoint.request(reading.repository, self._settings.page_size, since)
        return self._client.target(path, query)


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

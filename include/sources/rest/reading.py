"""Reads one element of a REST source: page after page, until the listing ends or a limit of the definition is reached.

What belongs here: the order of requests, limits, the watermark, pages that come again, and lists that change while they
are read. What does not: one request (`client`), which page comes next (`pages`), and the text of records (`records`).

A listing begins at the watermark minus the overlap, or at the initial value. The watermark moves when the listing is
complete. If a limit or a failure ends the run before, `Position.next_page` holds the request of the next page with what
was seen so far: the next run continues there, as long as the API still knows that page. If the listing cannot be
completed because the API contradicts itself (a page that comes again, a link to another server), what came is
delivered, and the next run begins with the first page.

Records that move from one page to another while a listing is read can be missed. A total that changes between two
pages, or another ETag of the first page at the end, shows that: the first page is read again at the end, once, and so
is each page that was read before the total fell. With `conditional`, each page is requested once more after the next
one, with its ETag, and read again if it has changed. If none of its records is left, one must be on a later page; if
none is there, the listing is read again from its first page, once. Otherwise overlap and key take care.

All decisions use times of the API, its Date header, and not those of this machine.
"""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx

from include.contracts.paths import path_steps
from include.errors import Code, PermanentError, PipelineError, RetryableError
from include.sources.definition import PageNumber
from include.sources.elements import headers_of, params_of, path_of
from include.sources.listing import Listing, Position
from include.sources.rest.answer_text import BadAnswerError
from include.sources.rest.element_run import ElementRun
from include.sources.rest.listing_state import ListingState
from include.sources.rest.pages import Page, first_target, next_target, smaller_target, total_of, wanted_paths
from include.sources.rest.records import RecordLines, cursor_of, line_of, redacted_line
from include.sources.rest.targets import with_param
from include.sources.rest.watermark import CursorTimes
from include.stores.http_response import FailedAttemptError, excerpt

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from include.contracts.model import Contract
    from include.sources.listing import Element, Sink
    from include.sources.rest.client import Fetched, RestClient
    from include.sources.rest.records import AnswerRecords
    from include.stores.http_response import Response

log = logging.getLogger(__name__)

# Statuses of a page whose cursor has expired or whose listing is gone.
_PAGE_GONE = {400, 404, 410, 422}
_NOT_FOUND = 404
_OF_THE_SOURCE = {Code.SOURCE_UNAVAILABLE, Code.SOURCE_REFUSED, Code.RATE_LIMITED}
# The status of an answer that is over the client's limit of size or time. A smaller page may not be.
_TOO_LARGE = 200


class RestReader:
    """Reads the elements of one source, one after another.

    Args:
        client: of the source's API.
        contract: of the rows; it says which members records need beside their own.
    """

    def __init__(self, client: RestClient, contract: Contract) -> None:
        self._client, self._contract = client, contract
        self._source = source = client.source
        self._times = CursorTimes(source.incremental) if source.incremental else None
        self._cursor = path_steps(source.incremental.cursor) if source.incremental else ()
        self._has_lag = source.incremental is not None and source.incremental.lag is not None
        self._paths = wanted_paths(source.pagination)

    def read(self, element: Element, position: Position, sink: Sink, full_run: str = "") -> Listing:
        """Read an element from a position on, until its end or as much as the limits allow.

        An error of the API is not raised: it is `Listing.error`, with the position behind what came before it.

        Args:
            element: one of `elements(source)`.
            position: where the last run has stopped.
            sink: takes answers and records; what it raises is raised.
            full_run: id of a run that reads all records again, whatever was read before. Only a listing that an earlier
                try of this run has begun is continued.
        """
        stored = ListingState.of_json(position.next_page) if position.next_page else None
        if full_run and (stored is None or stored.full_run != full_run):
            position, stored = Position(), None
        state = stored or self._new_listing(element, position)
        state.full_run = full_run or state.full_run
        headers = headers_of(self._source.requests[element.index], element.values)
        run = ElementRun(element, sink, Listing(position), state, RecordLines(self._contract, element), headers)
        run.begun_at, run.newest_at = self._client.clock(), self._moment(state.newest)
        has_etag = stored is None and self._source.conditional and position.address == state.first
        try:
            self._follow(run, position, position.etag if has_etag else None)
        except PipelineError as error:
            if error.code not in _OF_THE_SOURCE:
                raise
            run.listing.error = error
        run.listing.position = self._position(run, position)
        listing, words = run.listing, "%s: %s: %d answers, %d records, %s"
        outcome = "not modified" if listing.not_modified else "complete" if run.is_complete else "unfinished"
        log.info(words, self._source.name, element.name, run.answers, listing.records_read, outcome)
        return listing

    def _new_listing(self, element: Element, position: Position) -> ListingState:
        request, rules = self._source.requests[element.index], self._source.incremental
        target = self._client.target(path_of(request, element.values))
        for name, value in params_of(request, element.values).items():
            target = with_param(target, name, value)
        if self._times is not None and rules is not None and rules.start_param:
            start = self._times.start(position.watermark)
            target = target if start is None else with_param(target, rules.start_param, start)
        return ListingState.of_first(first_target(self._source.pagination, target))

    def _follow(self, run: ElementRun, position: Position, etag: str | None) -> None:
        """Read on from the next page of the listing; from the first one, if the API does not know that page any more.

        Raises:
            RetryableError: the API does not answer.
            PermanentError: it refuses, it contradicts itself, or its pages are gone before a run can continue.
        """
        continues = run.state.pages > 0
        try:
            self._read_pages(run, etag)
        except PermanentError as error:
            if not continues or run.answers or error.details.get("status") not in _PAGE_GONE:
                raise
            log.warning("%s Reading the listing from its first page.", error.message)
            self._begin_again(run, position)
            if run.state.target is not None:
                file = f"sources/{self._source.name}.yaml"
                message = (
                    f"A limit in {file} ends the listing of the API of {self._source.name}, and the next run cannot "
                    f"continue: the API does not know the next page any more by then. Raise the limits in {file}."
                )
                raise PermanentError(Code.SOURCE_REFUSED, message, element=run.element.name) from error
        if run.state.has_gap:
            words = "%s: %s: records have moved to pages that were read before; reading the listing once more."
            log.warning(words, self._source.name, run.element.name)
            self._begin_again(run, position)
        if run.state.has_gap:
            message = f"The API's list of {self._source.name} changes faster than it is read. The next run reads it."
            raise RetryableError(Code.SOURCE_UNAVAILABLE, message, element=run.element.name)

    def _begin_again(self, run: ElementRun, position: Position) -> None:
        run.state, run.newest_at = self._new_listing(run.element, position), None
        run.requested, run.digests = set(), set()
        self._read_pages(run, None)

    def _read_pages(self, run: ElementRun, etag: str | None) -> None:
        state = run.state
        while state.target is not None:
            try:
                fetched, target = self._fetch(run, state.target, etag)
            except PermanentError as error:
                if not self._is_behind_last(run, error):
                    raise
                self._check_previous(run, run.lines.read(b"[]", "application/json", None))
                state.target = None
                break
            if fetched.content is None:
                run.listing.not_modified = True
                return
            etag = None
            self._check_previous(run, fetched.content)
            self._take_page(run, fetched, fetched.content, target)
            state.target = self._next(run, fetched, fetched.content, target)
            if state.target is not None and run.is_limit_reached(
                self._source.limits, self._client.clock() + self._client.wait_ahead
            ):
                log.info("%s: %s: a limit is reached; the next run continues.", self._source.name, run.element.name)
                return
            if state.pages == 1 and state.target is not None and (state.etag or state.total is not None):
                run.first_records = set(fetched.content)
        if not state.has_gap:
            self._read_again(run)
            run.is_complete = True

    def _is_behind_last(self, run: ElementRun, error: PermanentError) -> bool:
        """Whether an API that counts pages answers 404 because there is no such page: the one before it was the last.

        Only right after a page with records: at the beginning of a run a 404 can mean that the whole list is gone. A
        total that was not reached says that records are missing.
        """
        is_not_found = isinstance(self._source.pagination, PageNumber) and error.details.get("status") == _NOT_FOUND
        state, has_page = run.state, run.answers > 0 and run.state.pages > 0
        return is_not_found and has_page and (state.total is None or state.total <= state.read)

    def _check_previous(self, run: ElementRun, following: AnswerRecords) -> None:
        """Read the last page again if it has changed since: records of the following page may have moved to it.

        Raises:
            PermanentError: the API refuses, and not because that page is gone.
        """
        state = run.state
        if state.sought:
            state.find(following.marks())
        if state.previous is None or not state.previous_etag or not self._source.conditional:
            return
        try:
            fetched, _ = self._fetch(run, state.previous, state.previous_etag)
        except PermanentError as error:
            if error.details.get("status") not in _PAGE_GONE:
                raise
            found = []
        else:
            if fetched.content is None:
                return
            run.answers += 1
            self._take(run, fetched, fetched.content)
            found = fetched.content.marks()
        state.sought = state.sought or state.previous_records
        state.find([*found, *following.marks()])

    def _fetch(self, run: ElementRun, target: str, etag: str | None = None) -> tuple[Fetched[AnswerRecords], str]:
        """Return an answer and its request: of a smaller page, if the API fails on the one that was asked for."""

        def read(response: Response) -> AnswerRecords:
            body, kind = response.body, response.headers.get("content-type", "")
            try:
                if response.status in {httpx.codes.NO_CONTENT, *self._source.empty_statuses}:
                    return run.lines.read(b"[]", kind, None)
                return run.lines.read(body, kind, self._source.records, self._paths)
            except BadAnswerError as error:
                shown = excerpt(self._client.redacted(body))
                raise FailedAttemptError(f"its answer {error}", response.request, answer=shown) from error

        while True:
            try:
                return self._client.get(target, read, etag, run.headers), target
            except RetryableError as error:
                status = error.details.get("status")
                is_too_heavy = isinstance(status, int) and (status >= 500 or status == _TOO_LARGE)
                smaller = smaller_target(self._source.pagination, target) if is_too_heavy else None
                if smaller is None:
                    raise
                log.warning("%s Requesting a smaller page.", error.message)
                target, etag = smaller, None

    def _take_page(self, run: ElementRun, fetched: Fetched[AnswerRecords], records: AnswerRecords, target: str) -> None:
        """Take the records of a page that was not read before.

        Raises:
            PermanentError: the page comes again.
        """
        state = run.state
        run.answers += 1
        run.size += len(fetched.response.body)
        run.requested.add(target)
        digest = records.digest().hex() if len(records) else ""
        if digest:
            if digest in run.digests or digest == state.marked_records:
                raise self._comes_again(run, "The same records come again")
            run.digests.add(digest)
        if not state.pages:
            state.first, state.etag = target, fetched.etag
        self._take(run, fetched, records)
        state.add_page(target, len(records), total_of(self._source.pagination, records.answer), digest)
        if self._source.conditional:
            state.previous_etag, state.previous_records = fetched.etag, records.marks()

    def _take(
        self, run: ElementRun, fetched: Fetched[AnswerRecords], records: AnswerRecords, known: Collection[str] = ()
    ) -> None:
        """Give an answer and its records to the sink, without records that are `known`."""
        body = fetched.response.body
        clean = self._client.redacted(body)
        has_secret = clean != body
        if has_secret and not run.has_secret:
            run.has_secret = True
            words = (
                "%s: %s: an answer has a secret of the connection %s in it, which is replaced by *** in copies and "
                "records. If that is a short password, which usual values contain, they change: use a longer one."
            )
            log.warning(words, self._source.name, run.element.name, self._source.connection)
        run.sink.keep(clean, run.answers)
        members = run.lines.begin(records.answer, fetched.answered_at)
        latest = self._latest(run, fetched.answered_at)
        taken = 0
        for record in records:
            if record in known or not (latest is None or self._is_due(run, record, latest)):
                continue
            line = line_of(record, members)
            run.sink.take(redacted_line(line, self._client.redacted) if has_secret else line)
            taken += 1
        run.listing.records_read += taken
        run.listing.pages += taken > 0

    def _latest(self, run: ElementRun, answered_at: datetime) -> Decimal | None:
        """Return the moment after which records of an answer are too young, or do not move the watermark.

        It is that of the first answer for the whole listing, which may take several runs. Else a later page could move
        the watermark past a record that an earlier page has withheld, or that has changed since that page was read.
        """
        if self._times is None:
            return None
        latest = self._times.latest(answered_at)
        run.state.latest = run.state.latest or str(latest)
        return min(latest, Decimal(run.state.latest))

    def _is_due(self, run: ElementRun, record: str, latest: Decimal) -> bool:
        """Whether a record is taken. Its cursor moves the watermark, unless it is later than `latest`."""
        value = cursor_of(record, self._cursor)
        moment = self._moment(value)
        if moment is None:
            return True
        if moment > latest:
            run.state.withheld |= self._has_lag
            return not self._has_lag
        if run.newest_at is None or moment > run.newest_at:
            run.newest_at, run.state.newest = moment, str(value)
        return True

    def _next(
        self, run: ElementRun, fetched: Fetched[AnswerRecords], records: AnswerRecords, target: str
    ) -> str | None:
        """Return the request of the next page; None after the last one.

        Raises:
            PermanentError: the answer leads to no page, to another server, or to a page that was read before.
        """
        response = fetched.response
        page = Page(target, response.headers, records, run.state.read, lambda link: self._client.linked(response, link))
        try:
            following = next_target(self._source.pagination, page)
        except BadAnswerError as error:
            message = f"The answer of the API of {self._source.name} {error}. What was read before is delivered."
            raise PermanentError(Code.SOURCE_REFUSED, message, element=run.element.name) from error
        if following in run.requested or following == run.state.marked_target:
            raise self._comes_again(run, "The cursor or link to the next page comes again")
        return following

    def _read_again(self, run: ElementRun) -> None:
        """Read pages of a complete listing again, if records have moved while it was read."""
        state = run.state
        if state.pages < 2 or not (state.moved or state.etag):
            return
        for target in dict.fromkeys([state.first, *state.again]):
            # If no total has changed, only another ETag shows that records have moved.
            fetched, _ = self._fetch(run, target, None if state.moved else state.etag)
            if fetched.content is not None:
                run.answers += 1
                words = "%s: %s: the list has changed while it was read; a page of it was read again."
                log.info(words, self._source.name, run.element.name)
                self._take(run, fetched, fetched.content, run.first_records)

    def _position(self, run: ElementRun, before: Position) -> Position:
        """Return where the next run begins."""
        state = run.state
        if run.listing.not_modified:
            return before
        if not run.is_complete:
            can_continue = state.pages > 0 and state.target is not None
            is_refused = isinstance(run.listing.error, PermanentError)
            unfinished = state.as_json() if can_continue and not is_refused else None
            return Position(before.watermark, before.address, before.etag, unfinished)
        # Where new records may come behind the first page, its ETag says nothing about them.
        is_newest_first = state.newest is not None and state.newest == state.newest_of_first
        if self._source.conditional and state.etag and (state.pages == 1 or is_newest_first) and not state.withheld:
            return Position(self._watermark(run, before), state.first, state.etag)
        return Position(self._watermark(run, before))

    def _watermark(self, run: ElementRun, before: Position) -> str | None:
        old = self._moment(before.watermark)
        is_newer = run.newest_at is not None and (old is None or run.newest_at > old)
        return run.state.newest if is_newer else before.watermark

    def _moment(self, value: Any) -> Decimal | None:
        return self._times.moment(value) if self._times is not None else None

    def _comes_again(self, run: ElementRun, what: str) -> PermanentError:
        message = (
            f"{what}: the listing of the API of {self._source.name} has no end. What was read before is delivered. "
            f"Check the pagination in sources/{self._source.name}.yaml, or ask the operator of the API."
        )
        return PermanentError(Code.SOURCE_REFUSED, message, element=run.element.name)

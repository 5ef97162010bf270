"""The statement of `filegate sources`, on the table that runs of sources write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from include.cli.sources import last_runs
from include.stores.warehouse import connect
from tests.own_names import own_name

if TYPE_CHECKING:
    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

# Element, Airflow run, minutes after the first one, status, records, code.
Attempt = tuple[str, str | None, int, str, int, str | None]
INSERT = """
INSERT INTO ops.source_run (
    source, element, dag_id, run_id, started_at, ended_at, status, records_read, records_written, error_code, stand_in
) VALUES (
    %(source)s, %(element)s, %(dag_id)s, %(run_id)s, timestamptz '2026-12-01 10:00Z' + %(minutes)s * interval '1 min',
    CASE WHEN %(status)s <> 'running' THEN now() END, %(status)s, %(records)s, %(records)s, %(code)s,
    %(code)s::text IS NULL
)
"""


def newest_run(platform: Platform, source: str, attempts: list[Attempt]) -> dict[str, Any]:
    """What the reader sees of a source after these attempts."""
    with connect(platform.warehouse_config("owner")) as owner:
        for element, run_id, minutes, status, records, code in attempts:
            values = {"element": element, "run_id": run_id, "minutes": minutes, "status": status, "records": records}
            dag_id = f"collect_{source}" if run_id else None
            owner.execute(INSERT.encode(), values | {"source": source, "dag_id": dag_id, "code": code})
    with connect(platform.warehouse_config("reader")) as reader:
        rows = last_runs(reader)
    [row] = [row for row in rows if row["source"] == source]
    return row


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        pytest.param(
            [
                ("/x", "r1", 0, "failed", 100, "old"), ("/x", "r2", 10, "failed", 5, "source-unavailable"),
                ("/x", "r2", 12, "success", 6, None), ("/y", "r2", 13, "success", 7, None),
            ],
            {"status": "success", "read": 18, "written": 18, "error": None, "failed_elements": [], "elements": 2},
            id="retry succeeds",
        ),
        pytest.param(
            [("/x", "r1", 0, "success", 5, None), ("/y", "r1", 1, "failed", 7, "source-refused")],
            {"status": "failed", "read": 12, "error": "source-refused", "failed_elements": ["/y"], "stand_in": True},
            id="one element fails",
        ),
        pytest.param(
            [("/x", "r1", 0, "success", 5, None), ("/y", "r1", 1, "running", 0, None)],
            {"status": "running", "read": 5, "error": None},
            id="under way",
        ),
        pytest.param(
            [("/x", None, 0, "success", 5, None), ("/x", None, 3, "success", 2, None)],
            {"status": "success", "read": 2, "elements": 1},
            id="not of Airflow",
        ),
    ],
)  # fmt: skip
def test_newest_run_of_a_source_over_its_elements(
    platform: Platform, request: pytest.FixtureRequest, attempts: list[Attempt], expected: dict[str, Any]
) -> None:
    row = newest_run(platform, own_name(request.node.nodeid), attempts)
    assert expected.items() <= row.items()


RESET = """
UPDATE ops.source_run SET rate_limit_reset_at = now() + %(minutes)s * interval '1 min'
WHERE source = %(source)s RETURNING rate_limit_reset_at
"""
POSITION = """
INSERT INTO ops.source_position (source, element, not_before)
VALUES (%(source)s, %(element)s, now() + %(minutes)s * interval '1 min') RETURNING not_before
"""


def test_source_waits_until_the_last_time_that_is_not_over(platform: Platform, request: pytest.FixtureRequest) -> None:
    source, times = own_name(request.node.nodeid), {}
    for element, minutes in (("/over", -1), ("/x", 30), ("/y", 60)):
        row = newest_run(platform, source, [(element, "r1", 0, "success", 5, None)])
        assert row["waits_until"] == times.get("/x"), "the elements before"
        with connect(platform.warehouse_config("owner")) as owner:
            values = {"source": source, "element": element, "minutes": minutes}
            [times[element]] = owner.execute(POSITION.encode(), values).fetchone() or [None]
    row = newest_run(platform, source, [("/y", "r1", 1, "success", 5, None)])
    assert row["waits_until"] == times["/y"]


@pytest.mark.parametrize(
    ("code", "minutes", "waits"), [("rate-limited", 30, True), ("rate-limited", -1, False), (None, 30, False)]
)
def test_source_waits_for_a_rate_limit_that_ended_its_run(
    platform: Platform, request: pytest.FixtureRequest, code: str | None, minutes: int, waits: bool
) -> None:
    source = own_name(request.node.nodeid)
    newest_run(platform, source, [("/x", "r1", 0, "failed" if code else "success", 5, code)])
    with connect(platform.warehouse_config("owner")) as owner:
        values = {"source": source, "minutes": minutes}
        [resets_at] = owner.execute(RESET.encode(), values).fetchone() or [None]
    assert newest_run(platform, source, [])["waits_until"] == (resets_at if waits else None)

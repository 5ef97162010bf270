"""Definitions of bucket sources: what is accepted, the remedies of each problem, and the page of the DAG."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from include.contracts.model import Mode
from include.sources.__main__ import BUCKET_EXAMPLE, page
from include.sources.bucket.definition import BucketSource
from include.sources.describe import describe
from include.sources.elements import elements
from include.sources.keys import bucket_keys
from include.sources.reader import read_source
from tests.unit.sources.source_files import ORDERS, TOPIC, problems_of, written

if TYPE_CHECKING:
    from pathlib import Path

    from include.contracts.model import Contract

pytestmark = pytest.mark.unit

PREFIX_REMEDY = "write exports/2026/, with a slash at its end only, or leave it out"
BUCKET_REMEDY = "write the name of a bucket: 3 to 255 letters, digits, dots, _ and -"


def read(folder: Path, contract: Contract = ORDERS, **changes: Any) -> BucketSource:
    """Read the example of the page with other values; a key is removed by the value `...`."""
    content = yaml.safe_load(BUCKET_EXAMPLE) | changes
    content = {key: value for key, value in content.items() if value is not ...}
    source = read_source(written(folder, content, "partner_orders.yaml"), lambda _: contract)
    assert isinstance(source, BucketSource)
    return source


def problems(folder: Path, contract: Contract = ORDERS, **changes: Any) -> list[tuple[str, str, str]]:
    return problems_of(lambda: read(folder, contract, **changes))


def test_example_is_read(tmp_path: Path) -> None:
    source = read(tmp_path)
    assert (source.bucket, source.prefix, source.pattern, source.deliver) == ("exports", "orders/", "**/*.csv", "file")
    [element] = elements(source)
    assert element.name == "s3://exports/orders/"


def test_prefix_and_pattern_have_defaults(tmp_path: Path) -> None:
    source = read(tmp_path, prefix=..., pattern=...)
    assert (source.prefix, source.pattern) == ("", "**")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param(
            {"deliver": "topic"},
            ("deliver", "objects of a bucket cannot become messages",
             "write deliver: file, or remove it: the objects are files already, which ingest_<dataset> loads"),
            id="topic",
        ),
        pytest.param(
            {"keepRaw": {"bucket": "raw-data", "key": "x/{date}"}},
            ("keepRaw", "a bucket source has no answers to keep",
             "remove it: the copy itself is the object as it came, and stays in processed/ or failed/"),
            id="keepRaw",
        ),
        pytest.param(
            {"incremental": {"cursor": "modified"}},
            ("incremental", "a bucket source has no cursor",
             "remove it: each version of an object is copied once, whenever it was written"),
            id="incremental",
        ),
        pytest.param({"bucket": ...}, ("", "'bucket' is missing", "add 'bucket'"), id="no bucket"),
        pytest.param({"bucket": "a/b"}, ("bucket", '"a/b" is not allowed here', BUCKET_REMEDY), id="name of a bucket"),
        pytest.param({"prefix": "/x/"}, ("prefix", '"/x/" is no prefix of folders', PREFIX_REMEDY), id="first slash"),
        pytest.param({"prefix": "x"}, ("prefix", '"x" is no prefix of folders', PREFIX_REMEDY), id="no last slash"),
        pytest.param(
            {"pattern": "a**"},
            ("pattern", '"a**" has ** beside other characters', "write ** alone between slashes, or *"),
            id="pattern",
        ),
        pytest.param(
            {"requests": []},
            (
                "requests", "unknown key",
                "use one of bucket, connection, dataset, deliver, description, incremental, keepRaw, kind, limits, "
                "name, pattern, paused, prefix, schedule",
            ),
            id="key of an API",
        ),
        pytest.param({"patern": "*"}, ("patern", "unknown key", "write 'pattern', or remove it"), id="mistyped key"),
        pytest.param({"schedule": "@often"}, None, id="schedule"),
        pytest.param({"limits": {"records": 0}}, None, id="limits"),
    ],
)  # fmt: skip
def test_problem_has_its_remedy(tmp_path: Path, changes: dict[str, Any], problem: tuple[str, str, str] | None) -> None:
    [found] = problems(tmp_path, TOPIC, **changes)
    where, _, remedy = found
    if problem is None:
        assert where.split(".")[0] in changes
        assert remedy
    elif changes == {"requests": []}:
        assert found[:2] == problem[:2]
    else:
        assert found == problem


def test_contract_with_record_path_or_snapshot_is_allowed(tmp_path: Path) -> None:
    """The objects are files like those of partners."""
    inside = replace(ORDERS, dialect=replace(ORDERS.dialect, record_path="data"), mode=Mode.SNAPSHOT)
    assert problems(tmp_path, inside) == []


# In words


def overview(folder: Path, contract: Contract = ORDERS, **changes: Any) -> dict[str, str]:
    text = describe(read(folder, contract, **changes), contract)
    return dict(re.findall(r"(?m)^\| ([A-Z][\w ]*) \| (.*) \|$", text))


def test_definition_in_words(tmp_path: Path) -> None:
    by_version = replace(ORDERS, newest_by="updated_at")
    assert overview(tmp_path, by_version) == {
        "From": "`s3://exports/orders/`, with login and password of the connection `source_partner` as access key and "
        "secret",
        "When": "`@hourly`, in UTC",
        "Objects": "names behind the prefix that match `**/*.csv`; empty objects and folder markers are skipped",
        "New objects": "those whose ETag differs from that of the last copy; `ops.source_object` remembers it",
        "Rows go to": "`incoming/orders/`, from which `ingest_orders` loads `raw.orders`",
        "Copies": "`incoming/orders/partner_orders/` and the name behind the prefix; of a later version the name "
        "follows `~2/`, `~3/` and so on",
        "Limits": "1,000 listings of up to 1,000 objects, 10,000,000 copied objects, 3,600 seconds, 10,737,418,240 "
        "bytes in a run; the next run reads on",
    }


def test_order_of_copies_in_words(tmp_path: Path) -> None:
    assert "the name behind the prefix, the oldest first; " in overview(tmp_path)["Copies"]


def test_page_has_every_key_of_buckets() -> None:
    assert [key.path for key in bucket_keys()] == ["kind", "bucket", "prefix", "pattern"]
    assert all(key.meaning for key in bucket_keys())
    assert "| `pattern` | `**` | a glob " in page()

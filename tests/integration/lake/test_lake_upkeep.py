"""The upkeep of the lake, its reader, and the tables of analytics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import psycopg
import pytest
from botocore.exceptions import ClientError

from include.errors import PipelineError
from include.lake.connect import open_lake
from include.lake.tables import LakeTable
from include.lake.update import TableUpdater
from include.lake.upkeep import maintain_lake
from include.settings import LakeSettings
from local.services import bucket
from tests.integration.lake.conftest import direct

if TYPE_CHECKING:
    from conftest import Sales

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

_AT_ONCE = LakeSettings(keep_days=0.000001, writer_hours=0.000001)


def files_of(sales: Sales) -> int:
    found = sales.engine.execute(f"SELECT count(*) FROM ducklake_list_files('lake', '{sales.name}', schema => 'raw')")
    return int((found.fetchone() or (-1,))[0])


def test_upkeep_merges_files_and_keeps_rows_and_history(sales: Sales) -> None:
    for number in range(4):
        sales.insert(number * 20 + 1, number * 20 + 20, file_id=number)
        sales.update()
    past, before = sales.snapshots(), files_of(sales)
    sales.run(f"DELETE FROM {sales.relation} WHERE id <= 15")
    sales.update()
    done = maintain_lake(sales.engine, LakeSettings())
    assert (done["snapshots"], done["files"], done["orphans"]) == (0, 0, 0)
    assert files_of(sales) < before
    sales.assert_same()
    assert sales.rows(f"AT (VERSION => {past})") == 80


def test_upkeep_deletes_old_snapshots_and_their_files_alone(sales: Sales) -> None:
    sales.insert(1, 30)
    sales.update()
    past = sales.snapshots()
    sales.run(f"UPDATE {sales.relation} SET amount = 1")
    sales.update()
    assert maintain_lake(sales.engine, _AT_ONCE)["snapshots"] > 0
    with pytest.raises(duckdb.Error):
        sales.rows(f"AT (VERSION => {past})")
    sales.assert_same()
    sales.insert(31, 40)
    sales.update()
    sales.assert_same()


def test_reader_reads_tables_that_are_made_later_and_writes_nothing(sales: Sales, platform: Platform) -> None:
    sales.insert(1, 5)
    sales.update()
    with open_lake(platform.lake_config(), read_only=True) as reader:
        assert reader.execute(f"SELECT count(*) FROM lake.{sales.relation}").fetchall() == [(5,)]
        with pytest.raises(duckdb.Error, match=r"(?i)read-only"):
            reader.execute(f"DELETE FROM lake.{sales.relation}")
    with direct(platform.lake_config().catalogue) as catalogue, pytest.raises(psycopg.errors.InsufficientPrivilege):
        catalogue.execute("DELETE FROM ducklake.ducklake_snapshot")
    s3 = bucket.client(platform.lake_config().objects)
    for call in (
        lambda: s3.put_object(Bucket="lake", Key="x", Body=b"x"),
        lambda: s3.delete_object(Bucket="lake", Key="x"),
        lambda: s3.list_objects_v2(Bucket="landing"),
    ):
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_table_of_analytics_with_null_keys_and_unbounded_numbers(sales: Sales, platform: Platform) -> None:
    name = sales.name[:40]
    query = (
        "SELECT nullif(i % 3, 0) AS part, NULL::text AS label, sum(i / 7.0) AS total, avg(i::numeric) AS mean, "
        "array_agg(i) AS ids FROM generate_series(1, {last}) AS i GROUP BY 1"
    )
    updater = TableUpdater(sales.engine, platform.warehouse_config("ingest"))
    table = LakeTable("analytics", name, ("part", "label"))
    for last in (10, 12):  # dbt builds the table again and exchanges the names
        sales.run(f"DROP TABLE IF EXISTS analytics.{name}; CREATE TABLE analytics.{name} AS {query.format(last=last)}")
        sales.run(f"GRANT SELECT ON analytics.{name} TO transform")
        assert updater.update(table).rows == 3
        exact = "part, round(total, 20), round(mean, 20), to_jsonb(ids)::text"
        expected = sales.owner.execute(f"SELECT {exact} FROM analytics.{name} ORDER BY 1".encode()).fetchall()
        found = sales.engine.execute(f"SELECT part, total, mean, ids FROM lake.analytics.{name} ORDER BY 1 NULLS LAST")
        assert found.fetchall() == expected
    snapshot = sales.snapshots()
    updater.update(table)
    assert sales.snapshots() == snapshot


def test_wrong_password_and_missing_server_name_what_to_do(platform: Platform) -> None:
    good = platform.lake_config()
    for change, retryable in (({"password": "wrong"}, False), ({"port": 1}, True)):
        config = good.model_copy(update={"catalogue": good.catalogue.model_copy(update=_secret(change))})
        with pytest.raises(PipelineError) as failed, open_lake(config, read_only=True):
            pass
        assert ("unavailable" in failed.value.code) == retryable
        assert "wrong" not in str(failed.value)


def _secret(change: dict[str, object]) -> dict[str, object]:
    from pydantic import SecretStr

    return {name: SecretStr(str(value)) if name == "password" else value for name, value in change.items()}

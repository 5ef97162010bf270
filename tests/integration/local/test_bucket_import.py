"""The objects of a home of an earlier version, which are plain files, are imported once and compared."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.errors import PlatformError
from local.services import bucket, bucket_import
from local.settings import temporary_settings
from local.supervisor.platform import S3, Platform

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

OBJECTS = {
    "landing/incoming/sales/sales_1.csv": b"sale_id\n1\n",
    "landing/incoming/sales/spaces and \u00fc\u0301 \u2028.csv": b"sale_id\n2\n",
    "landing/processed/sales/1/" + "n" * 200: b"sale_id\n3\n",
    "landing/failed/validation_failed/sales/2/a.csv.report.json": b"{}",
    "lake/empty": b"",
    "mlflow/1/abc/artifacts/model/MLmodel": b"flavors: {}\n",
    "of-a-user/large": bytes(range(256)) * 80_000,
}


@pytest.fixture
def old() -> Iterator[Platform]:
    home = Path(tempfile.mkdtemp(prefix="platform-"))
    platform = Platform(temporary_settings(home))
    (home / ".platform").touch()
    for at, (name, body) in enumerate(reversed(OBJECTS.items())):
        path = home / "buckets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        os.utime(path, (1_700_000_000 + at, 1_700_000_000 + at))
    try:
        yield platform
    finally:
        platform.down()
        shutil.rmtree(home)


def stored(platform: Platform) -> dict[str, bytes]:
    s3 = bucket.client(bucket.admin_config(platform.settings, platform.credentials))
    found = {}
    for name in {entry["Name"] for entry in s3.list_buckets()["Buckets"]} - {"health"}:  # the bucket of the probe
        for item in s3.list_objects_v2(Bucket=name).get("Contents", ()):
            body = s3.get_object(Bucket=name, Key=item["Key"])["Body"].read()
            assert item["ETag"].strip('"') == hashlib.md5(body, usedforsecurity=False).hexdigest()
            found[f"{name}/{item['Key']}"] = body
    return found


def files(platform: Platform) -> dict[str, bytes]:
    folder = platform.settings.layout.old_buckets
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_objects_are_imported_once_and_the_folder_is_kept(old: Platform) -> None:
    old.up([S3])
    assert stored(old) == files(old) == OBJECTS

    s3 = bucket.client(old.s3_config)
    s3.delete_object(Bucket="landing", Key="incoming/sales/sales_1.csv")
    old.down()
    old.up([S3])
    assert "landing/incoming/sales/sales_1.csv" not in stored(old), "imported a second time"
    assert files(old) == OBJECTS


def test_interrupted_import_is_continued(old: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, real = list[str](), bucket_import._Bucket._import_file

    def take(self: bucket_import._Bucket, name: str, existing: str | None) -> None:
        if len(taken) == 3:
            raise KeyboardInterrupt
        taken.append(name)
        real(self, name, existing)

    with monkeypatch.context() as patch:
        patch.setattr(bucket_import._Bucket, "_import_file", take)
        with pytest.raises(KeyboardInterrupt):
            old.up([S3])
    old.up([S3])
    assert stored(old) == OBJECTS


def test_object_that_differs_from_its_file_is_named(old: Platform) -> None:
    (old.settings.layout.old_buckets).rename(aside := old.settings.layout.home / "aside")
    old.up([S3])
    bucket.client(old.s3_config).put_object(Bucket="landing", Key="incoming/sales/sales_1.csv", Body=b"other")
    old.down()
    aside.rename(old.settings.layout.old_buckets)
    with pytest.raises(PlatformError, match=r"the object 'incoming/sales/sales_1.csv' of the bucket landing differs"):
        old.up([S3])
    assert files(old) == OBJECTS

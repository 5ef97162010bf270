"""The platform's S3 server: access rights, state after a crash, conditional requests, topics of the broker."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from botocore.exceptions import ClientError
from confluent_kafka import Consumer, Producer, TopicPartition

from include.settings import S3Config
from include.stores.object_store import ObjectStore
from include.stores.object_versions import remove_old_versions
from local.errors import PlatformError
from local.services import bucket, seaweedfs
from local.settings import INTERNAL_S3_PORTS, temporary_settings
from local.supervisor.platform import KAFKA, S3, Platform
from proof.torture.half_put import begin_put
from proof.torture.workload import etag_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

UNPRIVILEGED = 65534
MB = 2**20
MAX_RESIDENT = 300 * MB


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """A platform with restricted keys as users have them, and with topics in a bucket."""
    home = Path(tempfile.mkdtemp(prefix="platform-"))
    running = Platform(temporary_settings(home, kafka_storage="bucket"))
    try:
        running.up([KAFKA])
        yield running
    finally:
        running.down()
        shutil.rmtree(home)


@pytest.fixture
def admin(platform: Platform) -> Any:
    return bucket.client(bucket.admin_config(platform.settings, platform.credentials))


def config_of(platform: Platform, name: str) -> S3Config:
    settings, credentials = platform.settings, platform.credentials
    if name == "pipelines":
        return platform.s3_config
    if name == "broker":
        return bucket.broker_config(settings, credentials)
    return S3Config(
        endpoint_url=bucket.endpoint(settings),
        access_key_id=credentials.mlflow_s3_access_key_id,
        secret_access_key=credentials.mlflow_s3_secret_access_key,
        region=bucket.REGION,
    )


def status_of(attempt: Callable[[], object]) -> int:
    """The HTTP status of a refusal, or 200."""
    try:
        attempt()
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
    return 200


def process_of(platform: Platform, name: str) -> psutil.Process:
    [status] = [status for status in platform.status() if status.name == name]
    assert status.pid
    return psutil.Process(status.pid)


def kill(platform: Platform, *names: str) -> None:
    """End services by kill -9, and wait until the supervisor has started them again."""
    before = {name: process_of(platform, name).pid for name in names}
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = {status.name: status for status in platform.status() if status.name in before}
        if all(found[name].healthy and found[name].pid != before[name] for name in names):
            return
        time.sleep(0.1)
    pytest.fail(f"{names} did not come back")


# --- access rights

OWN_BUCKETS = {
    "pipelines": {"landing", "raw-data", "lake", "quality-docs"},
    "mlflow": {"mlflow"},
    "broker": {"kafka"},
}
ALL_BUCKETS = sorted(set().union(*OWN_BUCKETS.values()))


@pytest.mark.parametrize("name", OWN_BUCKETS)
def test_key_lists_its_own_buckets(platform: Platform, name: str) -> None:
    found = bucket.client(config_of(platform, name)).list_buckets()["Buckets"]
    assert {entry["Name"] for entry in found} == OWN_BUCKETS[name]


@pytest.mark.parametrize("target", ALL_BUCKETS)
@pytest.mark.parametrize("name", OWN_BUCKETS)
def test_key_may_use_only_its_own_buckets(platform: Platform, admin: Any, name: str, target: str) -> None:
    own, key = next(iter(OWN_BUCKETS[name])), "access/test"
    admin.put_object(Bucket=target, Key=key, Body=b"of the owner")
    client = bucket.client(config_of(platform, name))
    tries = {
        "read": lambda: client.get_object(Bucket=target, Key=key),
        "list": lambda: client.list_objects_v2(Bucket=target),
        "versions": lambda: client.list_object_versions(Bucket=target),
        "copy": lambda: client.copy_object(Bucket=own, Key="access/copy", CopySource={"Bucket": target, "Key": key}),
        "write": lambda: client.put_object(Bucket=target, Key=key, Body=b"of the key"),
        "delete": lambda: client.delete_object(Bucket=target, Key=key),
    }
    statuses = {what: status_of(attempt) for what, attempt in tries.items()}
    assert statuses == dict.fromkeys(tries, 200 if target in OWN_BUCKETS[name] else 403)


@pytest.mark.parametrize("name", OWN_BUCKETS)
def test_key_makes_no_bucket(platform: Platform, name: str) -> None:
    client = bucket.client(config_of(platform, name))
    with pytest.raises(ClientError, match="AccessDenied"):
        client.create_bucket(Bucket="one-more")
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_object(Bucket="one-more", Key="made-by-a-put", Body=b"")


def answer(port: int, request: bytes, context: ssl.SSLContext | None) -> bytes:
    """Return the answer of a port to a client without a certificate; empty if it closes the connection."""
    with ExitStack() as held:
        connection: socket.socket = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
        try:
            if context:
                connection = held.enter_context(context.wrap_socket(connection, server_hostname="127.0.0.1"))
            connection.sendall(request)
            return connection.recv(1000)
        except (ssl.SSLError, ConnectionError, TimeoutError):
            return b""


@pytest.mark.parametrize("at", range(INTERNAL_S3_PORTS))
def test_internal_port_answers_nothing_without_the_certificate(platform: Platform, at: int) -> None:
    """By default, `/col/delete?collection=landing` on one of these ports deletes a bucket's content without a key."""
    port = seaweedfs.internal_ports(platform.settings)[at]
    strange = ssl.create_default_context()
    strange.check_hostname, strange.verify_mode = False, ssl.CERT_NONE
    for context in (None, strange):
        for path in ("/", "/dir/status", "/status", "/buckets/landing/", "/col/delete?collection=landing"):
            found = answer(port, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(), context)
            assert b" 200 " not in found
            assert b"landing" not in found


def test_shell_without_the_certificate_sees_nothing(platform: Platform) -> None:
    """The program's shell uses the internal ports over gRPC."""
    ports = seaweedfs._ports(platform.settings)
    master, filer = (f"127.0.0.1:{ports[f'{part}.port']}.{ports[f'{part}.port.grpc']}" for part in ("master", "filer"))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        as_other_user = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []} if os.geteuid() == 0 else {}
        process = subprocess.Popen(
            [str(seaweedfs.PROGRAM), "shell", f"-master={master}", f"-filer={filer}"],
            cwd=folder, env={"HOME": folder, "TMPDIR": folder}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **as_other_user,
        )  # fmt: skip
        try:
            found, _ = process.communicate("fs.ls /buckets\nbucket.list\ncollection.list\n", timeout=8)
        except subprocess.TimeoutExpired:
            process.kill()
            found, _ = process.communicate()
    assert "landing" not in found


def test_keys_and_certificate_are_for_their_owner_alone(platform: Platform) -> None:
    folder = platform.settings.layout.s3
    assert folder.stat().st_mode & 0o777 == 0o700
    files = [path for path in folder.iterdir() if path.is_file()]
    assert {path.name for path in files} >= {"identities.json", "security.toml", "key.pem"}
    assert [path.name for path in files if path.stat().st_mode & 0o077] == []


def test_socket_of_another_user_is_named(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: real + 1)
    with pytest.raises(PlatformError, match=r"belongs to another user .*: set S3_INTERNAL_PORTS"):
        seaweedfs._check_sockets(platform.settings)


# --- conditions and versions


def test_landing_bucket_keeps_versions(platform: Platform, admin: Any) -> None:
    status = {name: admin.get_bucket_versioning(Bucket=name).get("Status") for name in ALL_BUCKETS}
    assert status == dict.fromkeys(ALL_BUCKETS) | {"landing": "Enabled"}


def test_conditions_are_held(platform: Platform) -> None:
    client, name = bucket.client(platform.s3_config), {"Bucket": "landing"}
    first = client.put_object(**name, Key="conditions/a", Body=b"one", IfNoneMatch="*")["ETag"]
    second = client.put_object(**name, Key="conditions/a", Body=b"two")["ETag"]
    source = {"Bucket": "landing", "Key": "conditions/a"}
    for attempt in (
        lambda: client.put_object(**name, Key="conditions/a", Body=b"three", IfNoneMatch="*"),
        lambda: client.put_object(**name, Key="conditions/a", Body=b"three", IfMatch=first),
        lambda: client.copy_object(**name, Key="conditions/b", CopySource=source, CopySourceIfMatch=first),
        lambda: client.delete_object(**name, Key="conditions/a", IfMatch=first),
    ):
        assert status_of(attempt) == 412
    assert client.get_object(**source)["Body"].read() == b"two"
    client.copy_object(**name, Key="conditions/b", CopySource=source, CopySourceIfMatch=second)
    assert client.get_object(**name, Key="conditions/b")["Body"].read() == b"two"


def test_older_version_shows_again_when_the_newer_one_is_deleted_alone(platform: Platform) -> None:
    """This is the reason why older versions of a claimed object are deleted before it."""
    client, address = bucket.client(platform.s3_config), {"Bucket": "landing", "Key": "versions/a"}
    versions = [client.put_object(**address, Body=body)["VersionId"] for body in (b"A", b"B")]
    client.delete_object(**address, VersionId=versions[1])
    assert client.get_object(**address)["Body"].read() == b"A"
    client.delete_object(**address, VersionId=versions[0])
    assert "Contents" not in client.list_objects_v2(Bucket="landing", Prefix="versions/")


def test_old_versions_are_removed_and_nothing_shows_again(platform: Platform, admin: Any) -> None:
    client = bucket.client(platform.s3_config)
    for body in (b"A", b"B", b"C"):
        client.put_object(Bucket="landing", Key="old/replaced", Body=body)
        client.put_object(Bucket="landing", Key="old/deleted", Body=body)
    client.delete_object(Bucket="landing", Key="old/deleted")

    assert remove_old_versions(platform.s3_config, "landing", datetime.now(UTC) - timedelta(hours=1)) == 0
    assert remove_old_versions(platform.s3_config, "lake", datetime.now(UTC) + timedelta(hours=1)) == 0
    assert remove_old_versions(platform.s3_config, "landing", datetime.now(UTC) + timedelta(hours=1)) >= 6

    page = admin.list_object_versions(Bucket="landing", Prefix="old/")
    assert [(version["Key"], version["IsLatest"]) for version in page["Versions"]] == [("old/replaced", True)]
    assert "DeleteMarkers" not in page
    assert client.get_object(Bucket="landing", Key="old/replaced")["Body"].read() == b"C"


# --- keys that the server refuses or changes: local/README.md

WHOLE = "stored as sent"
KEYS = {
    "parent folder": ("incoming/sales/../b.csv", "refused"),
    "dot": ("incoming/sales/./b.csv", "refused"),
    "parent folder with backslashes": ("incoming/sales/a\\..\\b.csv", "refused"),
    "backslash": ("incoming/sales/a\\b.csv", "incoming/sales/a/b.csv"),
    "NUL": ("incoming/sales/a\0b.csv", "refused"),
    "double slash": ("incoming/sales//b.csv", "incoming/sales/b.csv"),
    "slash last": ("incoming/sales/a/", "without content"),
    "folder of versions": ("incoming/sales/x.versions/a.csv", "not listed"),
    "folder of uploads": ("incoming/sales/.uploads/a.csv", "not listed"),
    "control character": ("incoming/sales/a\x1b[2J\tb.csv", WHOLE),
    "carriage return": ("incoming/sales/a\rb.csv", WHOLE),
    "name of 255 bytes": ("incoming/sales/" + "x" * 255, WHOLE),
    "file beside a folder of its name": ("incoming/sales/a.csv/b.csv", WHOLE),
    "encoded slash": ("incoming/sales/..%2fb.csv", WHOLE),
    "right to left": ("incoming/sales/a\u202evsc.exe", WHOLE),
}


@pytest.mark.parametrize("versioned", [True, False], ids=["versioned", "plain"])
@pytest.mark.parametrize(("key", "expected"), KEYS.values(), ids=list(KEYS))
def test_key_is_stored_as_documented(platform: Platform, admin: Any, key: str, expected: str, versioned: bool) -> None:
    name = "landing" if versioned else "lake"
    client = bucket.client(platform.s3_config)
    client.put_object(Bucket=name, Key="incoming/sales/a.csv", Body=b"beside")
    status = status_of(lambda: client.put_object(Bucket=name, Key=key, Body=b"content"))
    if expected == "refused":
        assert status == 400
        return
    listed = [item.key for item in ObjectStore(platform.s3_config).list(name, "incoming/sales/")]
    body = client.get_object(Bucket=name, Key=key)["Body"].read()
    found = WHOLE if key in listed else next((one for one in listed if one != "incoming/sales/a.csv"), "not listed")
    _empty(admin, name)
    assert (found if body else "without content") == expected


def test_long_name_is_accepted_only_by_a_versioned_bucket(platform: Platform, admin: Any) -> None:
    client, key = bucket.client(platform.s3_config), "incoming/sales/" + "x" * 256
    client.put_object(Bucket="landing", Key=key, Body=b"content")
    with pytest.raises(ClientError, match="KeyTooLongError"):
        client.put_object(Bucket="lake", Key=key, Body=b"content")
    _empty(admin, "landing")


def _empty(client: Any, name: str) -> None:
    page = client.list_object_versions(Bucket=name)
    for version in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
        client.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])


def test_many_buckets_take_objects(admin: Any) -> None:
    """The number of buckets exceeds the free disk space in GB, which is the server's default limit."""
    free = shutil.disk_usage(tempfile.gettempdir()).free // 2**30
    for number in range(min(free, 100) + 10):
        admin.create_bucket(Bucket=f"many-{number}")
        admin.put_object(Bucket=f"many-{number}", Key="a", Body=b"content")


# --- state after a crash

LENGTH = 24 * MB
SENT = {
    "nothing": 0,
    "a byte": 1,
    "more than one chunk": 9 * MB,
    "half": LENGTH // 2,
    "all but a byte": LENGTH - 1,
    "all": LENGTH,
}


def test_killed_server_lists_only_complete_objects(platform: Platform) -> None:
    """kill -9 during single PUTs of new keys and of an existing key."""
    client, body = bucket.client(platform.s3_config), os.urandom(LENGTH)
    before = client.put_object(Bucket="landing", Key="killed/replaced", Body=b"before")["ETag"]
    for turn in range(3):
        with ExitStack() as held:
            for title, sent in SENT.items():
                held.enter_context(
                    closing(begin_put(platform.s3_config, "landing", f"killed/{turn}/{title}", body, sent))
                )
            held.enter_context(closing(begin_put(platform.s3_config, "landing", "killed/replaced", body, LENGTH // 2)))
            time.sleep(0.2 * turn)
            kill(platform, S3)
        listed = {item.key: item for item in ObjectStore(platform.s3_config).list("landing", "killed/")}
        assert set(listed) <= {"killed/replaced", *(f"killed/{past}/all" for past in range(turn + 1))}
        assert listed.pop("killed/replaced").etag == before.strip('"')
        for key, item in listed.items():
            found = client.get_object(Bucket="landing", Key=key)["Body"].read()
            assert (item.size, hashlib.sha256(found).digest()) == (LENGTH, hashlib.sha256(body).digest())


@pytest.mark.parametrize(
    "size", [0, 8 * MB - 1, 8 * MB, 20 * MB], ids=["empty", "one part", "from here in parts", "parts"]
)
def test_etag_of_an_upload_is_as_the_torture_expects(platform: Platform, tmp_path: Path, size: int) -> None:
    path, body = tmp_path / "file", os.urandom(size)
    path.write_bytes(body)
    store = ObjectStore(platform.s3_config)
    store.upload(path, "landing", "etags/file")
    found = store.head("landing", "etags/file")
    assert found
    assert found.etag == etag_of(body)


def test_acknowledged_put_survives_a_kill(platform: Platform) -> None:
    client, kept = bucket.client(platform.s3_config), {}
    for turn in range(3):
        for at in range(20):
            key, body = f"kept/{turn}/{at}", os.urandom(50_000)
            client.put_object(Bucket="landing", Key=key, Body=body)
            kept[key] = body
        kill(platform, S3)
    assert {key: client.get_object(Bucket="landing", Key=key)["Body"].read() for key in kept} == kept


def test_memory_stays_below_its_limit_after_a_large_put(platform: Platform) -> None:
    kill(platform, S3)  # so that other tests have no influence
    client = bucket.client(platform.s3_config)
    body = os.urandom(MB) * 200
    for _ in range(2):
        client.put_object(Bucket="lake", Key="large", Body=body)
        assert len(client.get_object(Bucket="lake", Key="large")["Body"].read()) == len(body)
    assert process_of(platform, S3).memory_info().rss <= MAX_RESIDENT


# --- messages


def produce(platform: Platform, topic: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": f"127.0.0.1:{platform.settings.kafka_port}", "log_level": 0})
    failed: list[object] = []
    for number in range(count):
        producer.produce(
            topic, str(number).encode(), partition=0, on_delivery=lambda error, _: error and failed.append(error)
        )
    assert producer.flush(30) == 0
    assert failed == []


def consumed(platform: Platform, topic: str, count: int) -> list[int]:
    options = {"bootstrap.servers": f"127.0.0.1:{platform.settings.kafka_port}", "group.id": "test", "log_level": 0}
    with closing(Consumer(options)) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        messages = [message for _ in range(30) for message in consumer.consume(count, timeout=1)][: count + 1]
    return [int(message.value()) for message in messages if not message.error()]


def test_messages_survive_kills_and_a_stop(platform: Platform) -> None:
    produce(platform, "kept", 300)
    kill(platform, S3, KAFKA)
    produce(platform, "kept", 300)
    platform.down()
    platform.up([KAFKA])
    assert consumed(platform, "kept", 600) == [*range(300), *range(300)]


def test_broker_is_not_started_over_more_than_its_bound(platform: Platform, admin: Any) -> None:
    platform.down()
    platform.up([S3])
    admin.put_object(Bucket="kafka", Key="clusters/platform/topics/old", Body=bytes(3 * MB))
    small = Platform(platform.settings.model_copy(update={"kafka_max_mb": 2}))
    try:
        with pytest.raises(PlatformError, match=r"topics take 3 MB .*KAFKA_MAX_MB allows 2 MB.*KAFKA_MAX_MB=7"):
            small.up([KAFKA])
    finally:
        admin.delete_object(Bucket="kafka", Key="clusters/platform/topics/old")
        platform.up([KAFKA])

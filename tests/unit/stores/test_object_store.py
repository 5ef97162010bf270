"""The bucket's errors as retryable or permanent errors."""

from pathlib import Path
from typing import IO, Any

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber
from pydantic import SecretStr, ValidationError

from include.errors import Code, PermanentError, RetryableError
from include.settings import IngestSettings, S3Config, WarehouseConfig
from include.stores.object_store import ConditionFailedError, ObjectInfo, ObjectMissingError, ObjectStore, _translated

pytestmark = pytest.mark.unit

CONFIG = S3Config(endpoint_url="http://127.0.0.1:1", access_key_id="k", secret_access_key=SecretStr("s3cret"))


@pytest.fixture
def store() -> ObjectStore:
    return ObjectStore(CONFIG)


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        ("NoSuchKey", ObjectMissingError, Code.OBJECT_VANISHED),
        ("404", ObjectMissingError, Code.OBJECT_VANISHED),
        ("AccessDenied", PermanentError, Code.BUCKET_REFUSED),
        ("SignatureDoesNotMatch", PermanentError, Code.BUCKET_REFUSED),
        ("NoSuchBucket", PermanentError, Code.BUCKET_REFUSED),
        ("AuthorizationHeaderMalformed", PermanentError, Code.BUCKET_REFUSED),
        ("PermanentRedirect", PermanentError, Code.BUCKET_REFUSED),
        ("ExpiredToken", PermanentError, Code.BUCKET_REFUSED),
        ("InvalidToken", PermanentError, Code.BUCKET_REFUSED),
        ("AllAccessDisabled", PermanentError, Code.BUCKET_REFUSED),
        ("AccountProblem", PermanentError, Code.BUCKET_REFUSED),
        ("InvalidBucketName", PermanentError, Code.BUCKET_REFUSED),
        ("SlowDown", RetryableError, Code.BUCKET_UNAVAILABLE),
        ("InternalError", RetryableError, Code.BUCKET_UNAVAILABLE),
    ],
)
def test_read_raises_an_error_whose_type_says_whether_to_retry(
    store: ObjectStore, answer: str, kind: type, code: Code
) -> None:
    with Stubber(store._client) as stub:
        stub.add_client_error("get_object", answer)
        with pytest.raises(kind) as caught:
            store.read("landing", "incoming/x")
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.details["key"]) == (code, "incoming/x")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("style", "address"),
    [("path", "https://s3.example.org/landing/x?"), ("virtual", "https://landing.s3.example.org/x?")],
)
def test_bucket_stands_where_the_store_wants_it(style: Any, address: str) -> None:
    config = CONFIG.model_copy(update={"endpoint_url": "https://s3.example.org", "addressing_style": style})
    call = {"Bucket": "landing", "Key": "x"}
    assert ObjectStore(config)._client.generate_presigned_url("get_object", Params=call).startswith(address)


def test_head_of_nothing_is_none(store: ObjectStore) -> None:
    with Stubber(store._client) as stub:
        stub.add_client_error("head_object", "404", http_status_code=404)
        assert store.head("landing", "x") is None


def test_list_gives_etags_without_quotes(store: ObjectStore) -> None:
    with Stubber(store._client) as stub:
        stub.add_response("list_objects_v2", {"Contents": [{"Key": "a", "ETag": '"e"', "Size": 3}]})
        assert list(store.list("landing", "")) == [ObjectInfo("a", "e", 3)]


def test_list_leaves_out_objects_that_are_still_being_written(store: ObjectStore) -> None:
    """A server over a folder lists it with the bytes so far and no ETag; it vanishes if its sender gives up."""
    with Stubber(store._client) as stub:
        contents = [{"Key": "a", "ETag": '""', "Size": 3}, {"Key": "b", "ETag": '"e"', "Size": 3}]
        stub.add_response("list_objects_v2", {"Contents": contents})
        assert [item.key for item in store.list("landing", "")] == ["b"]


def test_list_includes_objects_without_an_etag_on_request(store: ObjectStore) -> None:
    with Stubber(store._client) as stub:
        stub.add_response(
            "list_objects_v2", {"Contents": [{"Key": "a", "Size": 3}, {"Key": "b", "ETag": '""', "Size": 3}]}
        )
        assert [item.etag for item in store.list("landing", "", without_etag=True)] == ["", ""]


def test_versions_are_those_of_the_key_alone_and_not_of_longer_ones(store: ObjectStore) -> None:
    with Stubber(store._client) as stub:
        found = [
            {"Key": key, "ETag": '"e"', "Size": 3, "VersionId": version}
            for key, version in (("a", "2"), ("a", "1"), ("a.csv", "9"))
        ]
        stub.add_response("list_object_versions", {"Versions": found, "IsTruncated": True, "NextKeyMarker": "a.csv"})
        assert [item.version_id for item in store.versions("landing", "a")] == ["2", "1"]


def test_version_of_a_bucket_without_versioning_is_none(store: ObjectStore) -> None:
    """Its id is `null` if versioning was switched off later: such an object is overwritten."""
    with Stubber(store._client) as stub:
        stub.add_response("head_object", {"ETag": '"e"', "ContentLength": 3, "VersionId": "null"})
        info = store.head("landing", "a")
    assert info is not None
    assert info.version_id is None


COPY = {
    "Bucket": "landing", "Key": "processed/a", "CopySource": {"Bucket": "landing", "Key": "a", "VersionId": "7"},
    "CopySourceIfMatch": '"e"',
}  # fmt: skip


def test_copy_is_of_one_version_and_never_replaces_an_object(store: ObjectStore) -> None:
    with Stubber(store._client) as stub:
        stub.add_response("copy_object", {}, COPY | {"IfNoneMatch": "*"})
        store.copy("landing", ObjectInfo("a", "e", 3, version_id="7"), "processed/a")
        stub.assert_no_pending_responses()


def test_copy_works_if_the_store_does_not_support_a_condition_on_the_target(store: ObjectStore) -> None:
    with Stubber(store._client) as stub:
        stub.add_client_error("copy_object", "NotImplemented", http_status_code=501)
        stub.add_response("copy_object", {}, COPY)
        store.copy("landing", ObjectInfo("a", "e", 3, version_id="7"), "processed/a")
        stub.assert_no_pending_responses()


PUT = {"Bucket": "raw", "Key": "a", "Body": b"x", "ContentType": "text/plain"}


def put_new(store: ObjectStore, stub: Stubber) -> None:
    store.put_new("raw", "a", b"x", "text/plain")
    stub.assert_no_pending_responses()


def test_new_object_never_replaces_another_one(store: ObjectStore) -> None:
    with Stubber(store._client) as stub:
        stub.add_client_error("head_object", "404", http_status_code=404)
        stub.add_response("put_object", {}, PUT | {"IfNoneMatch": "*"})
        put_new(store, stub)


@pytest.mark.parametrize("answer", ["PreconditionFailed", "ConditionalRequestConflict"])
def test_new_object_is_refused_if_the_key_is_taken_meanwhile(store: ObjectStore, answer: str) -> None:
    with Stubber(store._client) as stub:
        stub.add_client_error("head_object", "404", http_status_code=404)
        stub.add_client_error("put_object", answer, http_status_code=412)
        with pytest.raises(ConditionFailedError) as caught:
            put_new(store, stub)
    assert caught.value.details["key"] == "a"


def test_new_object_is_refused_by_a_store_that_ignores_the_condition(store: ObjectStore) -> None:
    with Stubber(store._client) as stub:
        stub.add_response("head_object", {"ETag": '"e"', "ContentLength": 3})
        with pytest.raises(ConditionFailedError):
            put_new(store, stub)


def test_new_object_is_stored_if_the_store_does_not_support_the_condition(store: ObjectStore) -> None:
    with Stubber(store._client) as stub:
        stub.add_client_error("head_object", "404", http_status_code=404)
        stub.add_client_error("put_object", "NotImplemented", http_status_code=501)
        stub.add_response("put_object", {}, PUT)
        put_new(store, stub)


def test_file_that_is_too_large_for_one_call_is_stored_in_parts(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.stores.object_store._LARGEST_SINGLE_CALL", 2)
    stored: list[object] = []

    def upload(file: IO[bytes], *where: str, **_: object) -> None:
        stored.append((file.read(), *where))

    monkeypatch.setattr(store._client, "upload_fileobj", upload)
    file = tmp_path / "x"
    file.write_bytes(b"abc")
    with Stubber(store._client) as stub, file.open("rb") as opened:
        opened.seek(2)
        stub.add_client_error("head_object", "404", http_status_code=404)
        store.put_new("raw", "a", opened)
    assert stored == [(b"abc", "raw", "a")]


def test_failed_condition_is_a_separate_error(store: ObjectStore) -> None:
    with Stubber(store._client) as stub:
        stub.add_client_error("delete_object", "PreconditionFailed", http_status_code=412)
        with pytest.raises(ConditionFailedError):
            store.delete_if_match("landing", ObjectInfo("a", "e", 3))


@pytest.mark.parametrize(
    ("answer", "unreadable"),
    [("AccessDenied", True), ("InvalidObjectState", True), ("KMS.DisabledException", True), ("403", True),
     ("400", True), ("InvalidRequest", True), ("ObjectNotInActiveTierError", True),
     ("InvalidAccessKeyId", False), ("SignatureDoesNotMatch", False), ("NoSuchBucket", False)],
)  # fmt: skip
def test_refusal_is_of_one_object_if_the_same_key_may_list_it(
    store: ObjectStore, answer: str, unreadable: bool
) -> None:
    with Stubber(store._client) as stub:
        stub.add_client_error("get_object", answer, http_status_code=403)
        stub.add_response("list_objects_v2", {})
        with pytest.raises(PermanentError) as caught:
            store.read("landing", "a")
        assert store.unreadable(caught.value, "landing", "a") == (answer if unreadable else "")


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(EndpointConnectionError(endpoint_url="http://x"), id="no-answer"),
        pytest.param(ConnectionResetError(104, "reset"), id="connection-reset"),
        pytest.param(S3UploadFailedError("failed"), id="upload-failed"),
    ],
)
def test_network_error_is_retryable(error: Exception) -> None:
    with pytest.raises(RetryableError) as caught, _translated("landing", "x"):
        raise error
    assert caught.value.code is Code.BUCKET_UNAVAILABLE


def test_error_of_an_upload_has_the_stores_reason() -> None:
    refusal = ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")
    with pytest.raises(PermanentError), _translated("landing", "x"):
        raise S3UploadFailedError("failed") from refusal


def test_error_of_the_local_disk_is_not_translated(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), _translated("landing", "x"):
        (tmp_path / "none").open()


# Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retries", "-1"), ("retries", "many"), ("poke_seconds", "0"),
        ("retry_delay_seconds", "-1"), ("batch_max_files", "0"),
        ("batches_at_once", "0"), ("engine_memory_mb", "1"), ("max_row_bytes", "0"),
    ],
)  # fmt: skip
def test_settings_refuse_invalid_values_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"INGEST_{name.upper()}", value)
    with pytest.raises(ValidationError, match=name):
        IngestSettings()


def test_constants_are_arguments_and_not_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("3", "1001", "many"):
        monkeypatch.setenv("INGEST_MAX_BATCHES", value)
        assert IngestSettings().max_batches == 64
    assert IngestSettings(max_batches=3).max_batches == 3
    with pytest.raises(ValidationError, match="max_batches"):
        IngestSettings(max_batches=1001)


@pytest.mark.parametrize("port", [0, 65536])
def test_warehouse_config_refuses_an_invalid_port(port: int) -> None:
    with pytest.raises(ValidationError, match="port"):
        WarehouseConfig(host="x", port=port, database="d", user="u", password=SecretStr("p"))


def test_config_refuses_unknown_names_and_hides_secrets() -> None:
    with pytest.raises(ValidationError, match="endpoint"):
        S3Config(endpoint_url=None, access_key_id="k", secret_access_key=SecretStr("s"), endpoint="x")
    assert "s3cret" not in repr(CONFIG)

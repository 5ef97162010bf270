"""The bucket's errors become ours, by whether a retry can help."""

from pathlib import Path

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber
from pydantic import SecretStr, ValidationError

from include.errors import Code, PermanentError, RetryableError
from include.settings import IngestSettings, S3Config, WarehouseConfig
from include.stores.object_store import ObjectInfo, ObjectMissingError, ObjectStore, _translated

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
        ("SlowDown", RetryableError, Code.BUCKET_UNAVAILABLE),
        ("InternalError", RetryableError, Code.BUCKET_UNAVAILABLE),
    ],
)
def test_read_says_by_type_whether_a_retry_can_help(store: ObjectStore, answer: str, kind: type, code: Code) -> None:
    with Stubber(store._client) as stub:
        stub.add_client_error("get_object", answer)
        with pytest.raises(kind) as caught:
            store.read("landing", "incoming/x")
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.facts["key"]) == (code, "incoming/x")
    assert "s3cret" not in str(caught.value)


def test_head_of_nothing_is_none(store: ObjectStore) -> None:
    with Stubber(store._client) as stub:
        stub.add_client_error("head_object", "404", http_status_code=404)
        assert store.head("landing", "x") is None


def test_list_gives_etags_without_quotes(store: ObjectStore) -> None:
    with Stubber(store._client) as stub:
        stub.add_response("list_objects_v2", {"Contents": [{"Key": "a", "ETag": '"e"', "Size": 3}]})
        assert list(store.list("landing", "")) == [ObjectInfo("a", "e", 3)]


def test_list_leaves_out_what_is_still_being_written(store: ObjectStore) -> None:
    """A server over a folder shows it with the bytes so far and no ETag; one whose sender gives up vanishes again."""
    with Stubber(store._client) as stub:
        contents = [{"Key": "a", "ETag": '""', "Size": 3}, {"Key": "b", "ETag": '"e"', "Size": 3}]
        stub.add_response("list_objects_v2", {"Contents": contents})
        assert [item.key for item in store.list("landing", "")] == ["b"]


def test_move_again_after_a_crash_is_done_already(store: ObjectStore) -> None:
    with Stubber(store._client) as stub:
        stub.add_client_error("head_object", "404", http_status_code=404)
        stub.add_response("head_object", {"ETag": '"e"', "ContentLength": 3})
        store.move("landing", "incoming/x", "processed/x")
        stub.assert_no_pending_responses()


def test_move_of_what_is_nowhere_is_an_error(store: ObjectStore) -> None:
    with Stubber(store._client) as stub:
        stub.add_client_error("head_object", "404", http_status_code=404)
        stub.add_client_error("head_object", "404", http_status_code=404)
        with pytest.raises(ObjectMissingError):
            store.move("landing", "incoming/x", "processed/x")


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(EndpointConnectionError(endpoint_url="http://x"), id="nobody-answers"),
        pytest.param(ConnectionResetError(104, "reset"), id="connection-reset"),
        pytest.param(S3UploadFailedError("failed"), id="upload-failed"),
    ],
)
def test_network_trouble_is_worth_a_retry(error: Exception) -> None:
    with pytest.raises(RetryableError) as caught, _translated("landing", "x"):
        raise error
    assert caught.value.code is Code.BUCKET_UNAVAILABLE


def test_an_upload_tells_what_the_store_said() -> None:
    refusal = ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")
    with pytest.raises(PermanentError), _translated("landing", "x"):
        raise S3UploadFailedError("failed") from refusal


def test_trouble_with_the_local_disk_is_not_the_stores(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), _translated("landing", "x"):
        (tmp_path / "none").open()


# Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retries", "-1"), ("retries", "many"), ("poke_seconds", "0"),
        ("retry_backoff", "0.5"), ("batch_max_files", "0"),
        ("max_batches", "1001"), ("engine_memory_mb", "1"), ("max_row_bytes", "0"),
    ],
)  # fmt: skip
def test_settings_refuse_nonsense_and_name_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"INGEST_{name.upper()}", value)
    with pytest.raises(ValidationError, match=name):
        IngestSettings()


@pytest.mark.parametrize("port", [0, 65536])
def test_warehouse_config_refuses_a_port_that_is_none(port: int) -> None:
    with pytest.raises(ValidationError, match="port"):
        WarehouseConfig(host="x", port=port, database="d", user="u", password=SecretStr("p"))


def test_config_refuses_unknown_names_and_hides_secrets() -> None:
    with pytest.raises(ValidationError, match="endpoint"):
        S3Config(endpoint_url=None, access_key_id="k", secret_access_key=SecretStr("s"), endpoint="x")
    assert "s3cret" not in repr(CONFIG)

"""MLflow and the ML service return 401 for every request of another OS user of the machine.

The requests run as the OS user `nobody`, which can connect to every loopback port and cannot read the platform's files.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import pwd
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from include.ml.model_file import MODEL
from include.ml.tracking import Tracking
from local.credentials import rotated
from local.services import bucket, ml_api, mlflow
from local.services.service import shared_environment
from local.supervisor.platform import ML_API

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from include.settings import TrainingSettings
    from local.credentials import Credentials
    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

# Method, address and body. Without authentication each request would succeed.
MLFLOW = [
    pytest.param("GET", "/", None, id="its pages"),
    pytest.param("POST", "/api/2.0/mlflow/experiments/create", {"name": "mine"}, id="make an experiment"),
    pytest.param("POST", "/api/2.0/mlflow/registered-models/create", {"name": "mine"}, id="register a model"),
    pytest.param("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/x/artifacts/model.pkl", "pickle", id="upload a pickle"),
    pytest.param("POST", "/api/2.0/mlflow/model-versions/create", {"name": MODEL, "source": "mlflow-artifacts:/0/x"},
                 id="register a pickle"),
    pytest.param("POST", "/api/2.0/mlflow/registered-models/alias", {"name": MODEL, "alias": "champion", "version": 1},
                 id="move the alias"),
    pytest.param("DELETE", "/api/2.0/mlflow/registered-models/alias", {"name": MODEL, "alias": "champion"},
                 id="take the alias off"),
    pytest.param("DELETE", "/api/2.0/mlflow/registered-models/delete", {"name": MODEL}, id="delete the model"),
    pytest.param("POST", "/api/2.0/mlflow/model-versions/create", {"name": MODEL, "source": "s3://landing/processed"},
                 id="register partners' files"),
    pytest.param("GET", f"/model-versions/get-artifact?name={MODEL}&version=1&path=sales.csv", None,
                 id="download partners' files"),
    pytest.param("GET", f"/ajax-api/2.0/mlflow/model-versions/get-download-uri?name={MODEL}&version=1", None,
                 id="the location of a version"),
    pytest.param("GET", "/api/2.0/mlflow-artifacts/artifacts/0/x/artifacts/model.pkl", None, id="download a file"),
    pytest.param("GET", "/api/2.0/mlflow-artifacts/artifacts?path=", None, id="list files"),
    pytest.param("GET", "/get-artifact?run_uuid=0&path=model.pkl", None, id="download a run's file"),
    pytest.param("POST", "/api/2.0/mlflow/users/create", {"username": "me", "password": "a-long-password"},
                 id="make an account"),
    pytest.param("GET", "/signup", None, id="the page that makes accounts"),
    pytest.param("POST", "/graphql", {"query": "{ __typename }"}, id="GraphQL"),
]  # fmt: skip
LOGINS = {
    "no login": None,
    "the shipped default": "admin:password1234",
    "an empty password": "admin:",
    "the training without a password": "training:",
    "another account": "other:other",
}


def as_other_user(work: Callable[[], Any]) -> Any:
    """Run a function in a child process as the OS user `nobody`, and return its result."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become the OS user nobody")
    other = pwd.getpwnam("nobody")
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.close(reading)
            os.setgroups([])
            os.setgid(other.pw_gid)
            os.setuid(other.pw_uid)
            os.write(writing, pickle.dumps(work()))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        found = answer.read()
    os.waitpid(child, 0)
    assert found, "the child process failed: its error is in the captured output"
    return pickle.loads(found)


def ask(method: str, address: str, body: object = None, login: str | None = None) -> int:
    """Send a request and return the status of the response."""
    headers = {"Content-Type": "application/json"}
    if login:
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, headers, method=method)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(("method", "address", "body"), MLFLOW)
def test_mlflow_requires_a_login_of_another_os_user(server: str, method: str, address: str, body: object) -> None:
    def attack() -> dict[str, int]:
        return {name: ask(method, server + address, body, login) for name, login in LOGINS.items()}

    assert as_other_user(attack) == dict.fromkeys(LOGINS, 401)


@pytest.mark.parametrize(
    "address", ["/predict", "/predict/batch", "/classify-commit", "/classify-commit/batch", "/anything", "/docs/x"]
)
def test_the_ml_service_requires_its_token_of_another_os_user(platform: Platform, address: str) -> None:
    platform.up((ML_API,))
    url = ml_api.url(platform.settings)
    assert as_other_user(lambda: [ask(method, url + address, {}) for method in ("GET", "POST")]) == [401, 401]
    assert as_other_user(lambda: ask("GET", f"{url}/health")) == 200


def test_every_page_of_mlflow_except_the_public_ones_requires_a_login(server: str) -> None:
    """Checks all pages of the installed version, so pages that a later version adds are checked too."""
    from mlflow.server import app as flask_app
    from mlflow.server.fastapi_app import app as fastapi_app

    rules = {(rule.rule, method) for rule in flask_app.url_map.iter_rules() for method in rule.methods or ()}
    rules |= {(route.path, method) for route in fastapi_app.routes for method in getattr(route, "methods", None) or ()}
    asked = {
        (method, re.sub(r"[<{][^>}]*[>}]", "1", path))
        for path, method in rules
        if method not in {"HEAD", "OPTIONS", "TRACE"}
    }
    assert len(asked) > 100
    public = re.compile(r"/(health|version|static-files/.*|(ajax-)?api/\d\.\d/mlflow/server-info|favicon\.ico)")
    let_in = {
        (method, path): status
        for method, path in sorted(asked)
        if not public.fullmatch(path) and (status := ask(method, server + path, {} if method != "GET" else None)) != 401
    }
    assert let_in == {}


def test_no_password_is_in_the_list_of_processes_or_in_an_open_file(server: str, platform: Platform) -> None:
    secrets = {value for value in vars(platform.credentials).values() if len(value) > 12}

    def look() -> list[str]:
        found = []
        for file in (path for name in ("cmdline", "environ") for path in Path("/proc").glob(f"[1-9]*/{name}")):
            try:
                text = file.read_bytes().decode(errors="replace")
            except OSError:
                continue
            found += [str(file) for secret in secrets if secret in text]
        return found

    assert as_other_user(look) == []
    configuration = platform.settings.layout.mlflow_configuration
    assert configuration.stat().st_mode & 0o777 == 0o600
    assert as_other_user(lambda: os.access(configuration, os.R_OK)) is False


def test_the_account_of_the_ml_service_reads_and_writes_nothing(
    server: str, settings: TrainingSettings, platform: Platform
) -> None:
    """With its login, changes of aliases and versions are refused, and the reads that it needs are allowed."""
    from mlflow import MlflowClient

    Tracking(settings)
    client = MlflowClient(server)
    if not client.search_registered_models(f"name = '{MODEL}'"):
        client.create_registered_model(MODEL)
    login = f"reader:{platform.credentials.mlflow_reader_password}"
    api = f"{server}/api/2.0/mlflow"
    assert ask("GET", f"{api}/registered-models/get?name={MODEL}", None, login) == 200
    refused: Iterable[tuple[str, str, object]] = [
        ("POST", "/registered-models/alias", {"name": MODEL, "alias": "champion", "version": "1"}),
        ("DELETE", "/registered-models/delete", {"name": MODEL}),
        ("POST", "/model-versions/create", {"name": MODEL, "source": "s3://landing/processed"}),
        ("POST", "/runs/create", {"experiment_id": "0"}),
        ("POST", "/users/create", {"username": "me", "password": "a-long-password"}),
        ("PATCH", "/users/update-admin", {"username": "reader", "is_admin": True}),
    ]
    answers = {path: ask(method, api + path, body, login) for method, path, body in refused}
    assert answers == dict.fromkeys(answers, 403)


AUTHENTICATE = """
import json, sys
from mlflow.server.auth.config import read_auth_config
from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore
store = SqlAlchemyStore()
store.init_db(read_auth_config().database_uri)
print(json.dumps([store.authenticate_user(*login) for login in json.loads(sys.argv[1])]))
"""


def test_a_start_sets_the_passwords_of_a_rotation(server: str, platform: Platform, tmp_path: Path) -> None:
    """It needs neither the old passwords nor a running server, only the next start."""
    old, new = platform.credentials, rotated(platform.credentials)
    logins = [
        (account, getattr(credentials, f"mlflow_{account}_password"))
        for credentials in (old, new)
        for account in ("admin", "training", "reader")
    ]

    def started_with(credentials: Credentials) -> list[bool]:
        environment = shared_environment(tmp_path) | dict(mlflow.service(platform.settings, credentials).environment)
        # The passwords of the PostgreSQL roles do not change in this test.
        environment["MLFLOW_BACKEND_STORE_URI"] = mlflow.service(platform.settings, old).environment[
            "MLFLOW_BACKEND_STORE_URI"
        ]
        environment["MLFLOW_AUTH_CONFIG_PATH"] = str(tmp_path / "auth.ini")
        command = ["-m", "local.services.mlflow_accounts", sys.executable, "-c", AUTHENTICATE, json.dumps(logins)]
        done = subprocess.run(
            [sys.executable, *command], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return list(json.loads(done.stdout.splitlines()[-1]))

    assert started_with(new) == [False] * 3 + [True] * 3
    assert started_with(old) == [True] * 3 + [False] * 3
    assert (tmp_path / "auth.ini").stat().st_mode & 0o777 == 0o600


def test_key_of_mlflow_grants_access_to_its_own_bucket_only(platform: Platform) -> None:
    """A version whose source is in another bucket cannot be read, even if the training's account registers it."""
    from botocore.exceptions import ClientError

    environment = mlflow.service(platform.settings, platform.credentials).environment
    if environment["AWS_ACCESS_KEY_ID"] == platform.credentials.s3_access_key_id:
        pytest.skip("the embedded S3 server has one key for all buckets")
    own = platform.s3_config.model_copy(
        update={
            "access_key_id": environment["AWS_ACCESS_KEY_ID"],
            "secret_access_key": type(platform.s3_config.secret_access_key)(environment["AWS_SECRET_ACCESS_KEY"]),
        }
    )
    s3 = bucket.client(own)
    s3.put_object(Bucket="mlflow", Key="a", Body=b"a")
    assert s3.get_object(Bucket="mlflow", Key="a")["Body"].read() == b"a"
    bucket.client(platform.s3_config).put_object(Bucket="landing", Key="processed/a", Body=b"a")
    for work in (
        lambda: s3.get_object(Bucket="landing", Key="processed/a"),
        lambda: s3.put_object(Bucket="landing", Key="incoming/a", Body=b"a"),
        lambda: s3.list_objects_v2(Bucket="landing"),
    ):
        with pytest.raises(ClientError) as refused:
            work()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403

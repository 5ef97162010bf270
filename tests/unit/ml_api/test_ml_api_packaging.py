"""The ML service is independent: its own pinned requirements, with the platform's versions, and its own settings."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from include.ml.model_file import TRUSTED_TYPES
from ml_api.settings import MlApiSettings

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", path.read_text(), flags=re.MULTILINE))


def test_requirements_have_the_versions_of_the_platform() -> None:
    own, platform = pins(ROOT / "ml_api" / "requirements.txt"), pins(ROOT / "requirements.txt")
    assert own
    assert own == {name: platform.get(name) for name in own}


def test_every_requirement_is_pinned() -> None:
    wanted = re.findall(r"^([a-z0-9-]+)", (ROOT / "ml_api" / "requirements.in").read_text(), flags=re.MULTILINE)
    assert wanted
    assert set(wanted) <= set(pins(ROOT / "ml_api" / "requirements.txt"))


def test_host_and_port_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ML_API_HOST", raising=False)
    monkeypatch.delenv("ML_API_PORT", raising=False)
    assert (MlApiSettings().host, MlApiSettings().port) == ("127.0.0.1", 8100)
    monkeypatch.setenv("ML_API_HOST", "0.0.0.0")
    monkeypatch.setenv("ML_API_PORT", "9100")
    assert (MlApiSettings().host, MlApiSettings().port) == ("0.0.0.0", 9100)


def test_image_has_the_modules_that_the_service_shares_with_the_platform() -> None:
    """Modules which import no other module of the platform. A model's file names the class to import."""
    taken = {"include.ml.model_file", "include.ml.commit_features", "include.ml.delay_features"}
    named = {type_.rpartition(".")[0] for type_ in TRUSTED_TYPES if type_.startswith("include.")}
    imported = set()
    for path in (ROOT / "ml_api").glob("*.py"):
        for package, name in re.findall(r"^from (include\S*) import (\w+)", path.read_text(), flags=re.MULTILINE):
            imported.add(f"{package}.{name}" if package == "include.ml" else package)
    assert imported | named == taken
    docker = (ROOT / "ml_api" / "Dockerfile").read_text()
    for module in taken:
        path = f"{module.replace('.', '/')}.py"
        assert path in docker
        assert "include" not in re.findall(r"^\s*(?:from|import) (\w+)", (ROOT / path).read_text(), flags=re.MULTILINE)


def test_a_service_without_a_token_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ml_api"], env={"PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        1,
        "error: ML_API_TOKEN is not set: give the secret that callers have to send\n",
    )


def test_invalid_port_gives_a_message_of_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ml_api"],
        env={"ML_API_PORT": "eighty", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ML_API_PORT=eighty: ")
    assert done.stderr.count("\n") == 1


def test_settings_of_models_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "ML_API_MODEL_REFRESH", "ML_API_MODEL_LOAD_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    basics = MlApiSettings()
    assert (basics.mlflow_tracking_uri, basics.model_refresh, basics.model_load_seconds) == ("", 60, 60)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.com/tracking")
    monkeypatch.setenv("ML_API_MODEL_REFRESH", "0.5")
    assert MlApiSettings().mlflow_tracking_uri == "https://mlflow.example.com/tracking"
    assert MlApiSettings().model_refresh == 0.5
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert MlApiSettings().mlflow_tracking_uri == ""


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        pytest.param("sqlite:///mlflow.db", "sqlite:///mlflow.db", id="no-server"),
        pytest.param("mlflow:5000", "mlflow:5000", id="no-scheme"),
        pytest.param("http://ada:pass/word@mlflow:5000", "http://...@mlflow:5000", id="a-password-is-not-shown"),
    ],
)
def test_invalid_tracking_uri_gives_a_message_of_one_line(tmp_path: Path, given: str, shown: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ml_api"],
        env={"MLFLOW_TRACKING_URI": given, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: MLFLOW_TRACKING_URI={shown}: ")
    assert "MLFLOW_TRACKING_PASSWORD" in done.stderr
    assert done.stderr.count("\n") == 1


def test_start_does_not_import_libraries_that_only_models_need(tmp_path: Path) -> None:
    """A service without a model of commits needs little memory and starts fast."""
    script = (
        "import sys, ml_api.__main__\n"
        "ml_api.__main__.create_app()\n"
        "print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = set(done.stdout.split())
    assert "fastapi" in found
    assert found & {"mlflow", "sklearn", "pandas", "numpy", "scipy", "skops", "requests"} == set()

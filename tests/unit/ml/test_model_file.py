"""Which model files are loaded, and which are refused with which message."""

from __future__ import annotations

import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from sample_commits import sample_commits

from include.ml import model_file, training
from include.ml.commit_features import VERSION
from include.ml.model_file import RefusedModelError
from include.settings import TrainingSettings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

RUN, KEY = "0123456789abcdef", "a-key"


@pytest.fixture(scope="module")
def pipeline() -> Any:
    parts = training.split(sample_commits(300), TrainingSettings())
    return training.pipeline(training._forest(TrainingSettings(trees=3))).fit(
        parts.training, parts.training["is_merge"]
    )


def dump(model: Any, folder: Path) -> Path:
    import skops.io

    skops.io.dump(model, folder / model_file.FILE_NAME)
    return folder


class Untrusted:
    """A type that is not on the list."""

    def __init__(self) -> None:
        self.value = 1


def test_a_model_computes_the_same_after_it_was_saved(pipeline: Any, tmp_path: Path) -> None:
    commits, loaded = sample_commits(50), model_file.load(dump(pipeline, tmp_path))
    assert training.probabilities(loaded, commits).tolist() == training.probabilities(pipeline, commits).tolist()


def test_the_trusted_types_are_those_that_a_model_needs(pipeline: Any, tmp_path: Path) -> None:
    import skops.io

    file = dump(pipeline, tmp_path) / model_file.FILE_NAME
    of_task_delay = {"include.ml.delay_features.DelayFeatures"}
    assert {*skops.io.get_untrusted_types(file=file), *of_task_delay} == set(model_file.TRUSTED_TYPES)


def test_a_type_that_is_not_trusted_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RefusedModelError, match=r"it contains the types .*Untrusted, which are not trusted; besides"):
        model_file.load(dump(Untrusted(), tmp_path))


def test_trusted_types_of_a_model_are_ignored(tmp_path: Path) -> None:
    dump(Untrusted(), tmp_path)
    (tmp_path / "MLmodel").write_text(
        f"flavors: {{sklearn: {{skops_trusted_types: [{Untrusted.__module__}.Untrusted]}}}}"
    )
    with pytest.raises(RefusedModelError, match="not trusted"):
        model_file.load(tmp_path)


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model.cloudpickle"])
def test_a_pickle_is_refused_and_not_opened(tmp_path: Path, name: str) -> None:
    trap = tmp_path / "trap"
    code = f"open({str(trap)!r}, 'w')"
    (tmp_path / name).write_bytes(pickle.dumps(type("T", (), {"__reduce__": lambda _: (eval, (code,))})()))
    with pytest.raises(RefusedModelError, match=f"it has no model.skops but {name}: only skops files are read"):
        model_file.load(tmp_path)
    assert not trap.exists()


def test_a_pickle_called_skops_is_refused_and_not_opened(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    code = f"open({str(trap)!r}, 'w')"
    (tmp_path / model_file.FILE_NAME).write_bytes(
        pickle.dumps(type("T", (), {"__reduce__": lambda _: (eval, (code,))})())
    )
    with pytest.raises(RefusedModelError, match="cannot be read"):
        model_file.load(tmp_path)
    assert not trap.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04cut", b"{}"], ids=["empty", "cut", "text"])
def test_a_broken_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / model_file.FILE_NAME).write_bytes(content)
    with pytest.raises(RefusedModelError, match="cannot be read"):
        model_file.load(tmp_path)


def test_an_archive_without_a_schema_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / model_file.FILE_NAME, "w") as archive:
        archive.writestr("other.json", "{}")
    with pytest.raises(RefusedModelError, match="cannot be read"):
        model_file.load(tmp_path)


def test_a_model_of_other_features_is_refused(pipeline: Any, tmp_path: Path) -> None:
    pipeline[0].version_ = VERSION + 1
    try:
        dump(pipeline, tmp_path)
    finally:
        pipeline[0].version_ = VERSION
    with pytest.raises(RefusedModelError, match=f"trained with version {VERSION + 1} of the features"):
        model_file.load(tmp_path)


def test_a_missing_file_is_no_refusal(tmp_path: Path) -> None:
    """It may be a temporary error of the bucket, so it can be retried."""
    with pytest.raises(FileNotFoundError, match=r"no file model\.skops"):
        model_file.load(tmp_path)


# Signatures


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    (tmp_path / model_file.FILE_NAME).write_bytes(b"a model")
    return tmp_path


@pytest.mark.parametrize("keys", [KEY, f"newer,{KEY}", f"{KEY},older"])
def test_a_signature_of_any_known_key_is_accepted(saved: Path, keys: str) -> None:
    model_file.check_signature(saved, RUN, model_file.signature(saved, RUN, KEY), keys)


@pytest.mark.parametrize(
    ("given", "run_id", "keys", "words"),
    [
        pytest.param("", RUN, KEY, "no signature", id="none"),
        pytest.param("00" * 32, RUN, KEY, "not valid", id="invented"),
        pytest.param("ü", RUN, KEY, "not valid", id="not-ascii"),
        pytest.param(None, "another-run", KEY, "not valid", id="copied-to-another-run"),
        pytest.param(None, RUN, "another-key", "not valid", id="of-another-platform"),
        pytest.param(None, RUN, "", "MODEL_SIGNING_KEY is not set", id="no-key"),
        pytest.param(None, RUN, ",", "MODEL_SIGNING_KEY is not set", id="only-a-comma"),
    ],
)
def test_other_signatures_are_refused(saved: Path, given: str | None, run_id: str, keys: str, words: str) -> None:
    given = model_file.signature(saved, RUN, KEY) if given is None else given
    with pytest.raises(RefusedModelError, match=words):
        model_file.check_signature(saved, run_id, given, keys)


def test_a_changed_file_is_refused(saved: Path) -> None:
    given = model_file.signature(saved, RUN, KEY)
    (saved / model_file.FILE_NAME).write_bytes(b"a Model")
    with pytest.raises(RefusedModelError, match="its file or its run was changed"):
        model_file.check_signature(saved, RUN, given, KEY)

"""Errors of the pipeline: the stage is added by what runs it, and all of an error survives pickling."""

import copy
import pickle

import pytest

from include.contracts.problems import ContractError, Problem
from include.errors import Code, PermanentError, PipelineError, RetryableError, Stage, in_stage
from include.ingestion.ledger import StaleAttemptError
from include.stores.object_store import ObjectMissingError

pytestmark = pytest.mark.unit


def raised(error: PipelineError, *stages: str) -> PipelineError:
    """The error after it passed through stages, the innermost first."""

    def run() -> None:
        raise error

    for stage in stages:
        run = in_stage(stage)(run)
    with pytest.raises(type(error)) as caught:
        run()
    return caught.value


def test_error_without_a_stage_begins_with_its_code() -> None:
    error = RetryableError(Code.DISK_FULL, "Full.", folder="/spool", bytes=3)
    assert error.stage == ""
    assert str(error) == "disk-full: Full. (bytes=3, folder=/spool)"


def test_in_stage_adds_the_stage_to_the_text() -> None:
    assert str(raised(RetryableError(Code.DISK_FULL, "Full."), Stage.LOAD)) == "load: disk-full: Full."


def test_in_stage_keeps_the_innermost_stage() -> None:
    error = RetryableError(Code.DISK_FULL, "Full.")
    assert raised(error, Stage.SETTLE, "sweep") is error
    assert error.stage == Stage.SETTLE


def test_in_stage_leaves_other_errors_alone() -> None:
    with pytest.raises(ValueError, match=r"^odd$"), in_stage(Stage.LOAD):
        raise ValueError("odd")


def test_in_stage_decorates_a_function() -> None:
    @in_stage("train")
    def train() -> None:
        raise PermanentError(Code.TOO_FEW_EXAMPLES, "Too few.")

    for _ in range(2):
        with pytest.raises(PermanentError, match=r"^train: too-few-examples: Too few\.$"):
            train()


def test_error_without_a_message_has_that_of_the_registry() -> None:
    error = PermanentError(Code.INTERNAL, error="KeyError")
    assert error.message == "The pipeline itself failed (KeyError); the task's log has more."
    assert RetryableError(Code.BUCKET_UNAVAILABLE, "").message == ""


@pytest.mark.parametrize("kind", [RetryableError, PermanentError, StaleAttemptError, ObjectMissingError])
@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy], ids=["pickle", "copy"])
@pytest.mark.parametrize("stage", ["", Stage.LOAD])
def test_error_survives_pickling_and_copying(kind, again, stage: str) -> None:
    error = kind(Code.TARGET_LOCKED, "A lock.", file_id=7).with_stage(stage)
    copied = again(error)
    assert type(copied) is kind
    assert (copied.stage, copied.code, copied.message, copied.details) == (
        stage, Code.TARGET_LOCKED, "A lock.", {"file_id": 7}
    )  # fmt: skip
    assert str(copied) == str(error)


def test_contract_error_has_its_own_stage_and_survives_pickling(tmp_path) -> None:
    error = ContractError.of(tmp_path / "sales.yaml", [Problem("status", "is missing", "write it")])
    again = pickle.loads(pickle.dumps(error))
    assert (again.stage, again.problems, str(again)) == ("contract", error.problems, str(error))
    assert str(error).startswith("contract: contract-invalid: sales.yaml has 1 problem")

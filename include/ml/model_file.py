"""The file of a saved model: its allowed types, its signature, how it is verified and read. Pickle is never used.

What belongs here: what training and the ML service must agree on. The image of the ML service contains only this
module, `commit_features` and `delay_features`, so they must not import other modules of the project.

A skops file contains no code, but it names types, which the reader imports and instantiates. So this module defines the
list of allowed types; the list in the model's MLmodel file is not trusted. Trees are read without bounds checks: a
manipulated file could crash the process. So the signature is checked before the file is opened.
"""

from __future__ import annotations

import hashlib
import hmac
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The registered models, and the alias of the version that the ML service loads.
MODEL, CHAMPION = "commit-classifier", "champion"
DELAY_MODEL = "task_delay"
FILE_NAME = "model.skops"
FORMAT = "skops"
# In addition to the types that skops trusts: scikit-learn estimators, numpy arrays, built-in types.
TRUSTED_TYPES = (
    "include.ml.commit_features.CommitFeatures", "include.ml.delay_features.DelayFeatures", "sklearn.tree._tree.Tree",
)  # fmt: skip
# Tag of runs and registered versions.
SIGNATURE_TAG = "signature"


class RefusedModelError(Exception):
    """The model is not loaded: wrong format, a type that is not trusted, or unknown origin; the message says which."""


def signature(folder: Path, run_id: str, key: str) -> str:
    """Return the signature of a saved model: HMAC-SHA256 over its run id and its file, in hexadecimal.

    Args:
        folder: folder of the saved model.
        run_id: run that logged the model; the signature is not valid for another run.
        key: secret shared by training and the ML service.
    """
    return _sign(_digest(folder), run_id, key)


def check_signature(folder: Path, run_id: str, given: str, keys: str) -> None:
    """Verify that the training of this platform registered a model.

    Args:
        folder: folder of the downloaded model.
        run_id: run of its registered version.
        given: signature of its registered version; empty if it has none.
        keys: MODEL_SIGNING_KEY: keys separated by commas, the newest first.

    Raises:
        RefusedModelError: the signature is missing or not valid, or there is no key.
        FileNotFoundError: the model file is missing.
    """
    known = [key for key in keys.split(",") if key]
    if not known:
        raise RefusedModelError("its origin cannot be checked, because MODEL_SIGNING_KEY is not set")
    if not given:
        raise RefusedModelError("it has no signature: it was not registered by this platform's training")
    digest = _digest(folder)
    if not any(hmac.compare_digest(_sign(digest, run_id, key).encode(), given.encode()) for key in known):
        raise RefusedModelError(
            "its signature is not valid: its file or its run was changed, or another platform's training registered it"
        )


def load(folder: Path) -> Any:
    """Load the pipeline of a saved model.

    Args:
        folder: folder of the downloaded model; check its signature first.

    Raises:
        RefusedModelError: wrong format, types that are not trusted, or a file that cannot be read.
        FileNotFoundError: the model file is missing.
    """
    import skops.io

    file = _file(folder)
    with _readable():
        untrusted = sorted(set(skops.io.get_untrusted_types(file=file)) - set(TRUSTED_TYPES))
    if untrusted:
        raise RefusedModelError(
            f"it contains the types {', '.join(untrusted)}, which are not trusted; besides the types that skops trusts,"
            f" only these are allowed: {', '.join(TRUSTED_TYPES)}"
        )
    with _readable():
        return skops.io.load(file, trusted=list(TRUSTED_TYPES))


@contextmanager
def _readable() -> Iterator[None]:
    """Translate errors of reading the file: a manipulated file can raise any exception."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise RefusedModelError(f"its file {FILE_NAME} cannot be read ({type(error).__name__}: {error})") from error


def _file(folder: Path) -> Path:
    file = folder / FILE_NAME
    if file.is_file():
        return file
    if others := sorted(path.name for path in folder.glob("model.*")):
        raise RefusedModelError(f"it has no {FILE_NAME} but {', '.join(others)}: only skops files are read, no pickle")
    raise FileNotFoundError(f"the model has no file {FILE_NAME}")


def _digest(folder: Path) -> str:
    with _file(folder).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sign(digest: str, run_id: str, key: str) -> str:
    return hmac.new(key.encode(), f"{run_id}\0{digest}".encode(), "sha256").hexdigest()

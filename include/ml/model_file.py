"""The file of a saved model: which types it may hold, how it is signed, checked and read. No pickle anywhere.

What belongs here: what training and the ML service have to agree on. The image of the ML service holds this module and
`commit_features`, so both import nothing else of the project.

A skops file holds no code, but it names types, and the reader imports and builds them. So the list of types is ours and
not the one in the model's own MLmodel file. Trees are read without a check of their bounds: a made-up file could crash
the process. So the signature is checked before the file is opened.
"""

from __future__ import annotations

import hashlib
import hmac
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_NAME = "model.skops"
FORMAT = "skops"
# Beyond what skops trusts itself: scikit-learn's estimators, numpy's arrays, Python's own types.
TRUSTED_TYPES = ("include.ml.commit_features.CommitFeatures", "sklearn.tree._tree.Tree")
# Tag of a run and of a registered version.
SIGNATURE_TAG = "signature"


class RefusedModelError(Exception):
    """A model that is not read: another format, a type that is not trusted, or of unknown origin. Says which."""


def signature(folder: Path, run_id: str, key: str) -> str:
    """The signature of a saved model: HMAC-SHA256 over its run and its file, in hexadecimal digits.

    Args:
        folder: a saved model.
        run_id: the run that made it; a signature is not valid for another run.
        key: the secret that training and the ML service share.
    """
    return _sign(_digest(folder), run_id, key)


def check_signature(folder: Path, run_id: str, given: str, keys: str) -> None:
    """Check that a model was registered by the training of this platform.

    Args:
        folder: the model as it was downloaded.
        run_id: the run that its registered version names.
        given: the signature that its registered version has; empty if none.
        keys: MODEL_SIGNING_KEY: keys separated by commas, the newest first.

    Raises:
        RefusedModelError: it was not, or this cannot be known.
        FileNotFoundError: its file is missing.
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
    """The pipeline in a saved model.

    Args:
        folder: the model as it was downloaded; check its signature first.

    Raises:
        RefusedModelError: it is of another format, holds types that are not trusted, or cannot be read.
        FileNotFoundError: its file is missing.
    """
    import skops.io

    file = _file(folder)
    with _readable():
        untrusted = sorted(set(skops.io.get_untrusted_types(file=file)) - set(TRUSTED_TYPES))
    if untrusted:
        raise RefusedModelError(
            f"it holds the types {', '.join(untrusted)}, which are not trusted; trusted are, besides those of skops:"
            f" {', '.join(TRUSTED_TYPES)}"
        )
    with _readable():
        return skops.io.load(file, trusted=list(TRUSTED_TYPES))


@contextmanager
def _readable() -> Iterator[None]:
    """A made-up file can raise any error."""
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

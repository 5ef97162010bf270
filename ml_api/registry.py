"""MLflow's side of the champion: its version, its files, its pipeline. The only module that imports MLflow.

Nothing here is imported before the first commit is to be classified: MLflow and scikit-learn take seconds and more
memory than all the rest of the service. Files come through MLflow's server, so no key of a bucket is needed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ml_api.champion import ALIAS, MODEL, Champion, ModelUnavailableError, UnfitModelError

# For the process: MLflow reads them whenever it asks its server. Its own defaults wait 2 minutes and ask 8 times.
CLIENT_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",  # the image has no git
}

_NO_SUCH_THING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # no model of the name; none with the alias


class MlflowRegistry:
    """The models of one MLflow server.

    Args:
        uri: its address, without a password.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def champion_version(self) -> str:
        """The version that has the alias.

        Raises:
            ModelUnavailableError: none has it, or MLflow does not answer.
        """
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException, RestException

        try:
            found = MlflowClient(self._uri, self._uri).get_model_version_by_alias(MODEL, ALIAS)
        except RestException as error:
            if error.error_code in _NO_SUCH_THING:
                raise ModelUnavailableError(
                    f"there is no {MODEL}@{ALIAS} in MLflow yet: train one first (DAG train_commit_model)"
                ) from error
            raise self._away() from error
        except (MlflowException, OSError) as error:
            raise self._away() from error
        return str(found.version)

    def load(self, version: str) -> Champion:
        """Fetch the files of a version, load its pipeline and prove it.

        Raises:
            ModelUnavailableError: the files cannot be fetched.
            UnfitModelError: they hold something else.
        """
        import mlflow
        from mlflow.exceptions import MlflowException

        mlflow.set_tracking_uri(self._uri)  # the address of a version leads to a second one, which is asked for there
        mlflow.set_registry_uri(self._uri)
        try:
            with tempfile.TemporaryDirectory(prefix="ml-api-") as folder:
                path = mlflow.artifacts.download_artifacts(f"models:/{MODEL}/{version}", dst_path=folder)
                if not (Path(path) / "MLmodel").exists():  # nothing at all is no error to MLflow
                    raise FileNotFoundError(f"version {version} has no files")
                champion = Champion(version, _pipeline(version, path))
        except (MlflowException, OSError, MemoryError) as error:
            raise ModelUnavailableError(
                f"version {version} of {MODEL} cannot be fetched: look at MLflow at MLFLOW_TRACKING_URI and at its"
                " bucket, and at the log of this service"
            ) from error
        champion.prove()
        return champion

    def _away(self) -> ModelUnavailableError:
        return ModelUnavailableError(
            "MLflow does not answer as it should: see that it runs, and that MLFLOW_TRACKING_URI has its address"
        )


def _pipeline(version: str, path: str) -> Any:
    """The pipeline, told to use one thread: each request has its own, and a pool costs more than a row is worth."""
    import mlflow.sklearn

    try:
        pipeline = mlflow.sklearn.load_model(path)
        parallel = [name for name in pipeline.get_params() if name.rpartition("__")[2] == "n_jobs"]
        pipeline.set_params(**dict.fromkeys(parallel, 1))
    except (OSError, MemoryError):  # says nothing of the model
        raise
    except Exception as error:  # it holds code of its own, which may raise anything
        raise UnfitModelError(version, f"{type(error).__name__}: {error}") from error
    return pipeline

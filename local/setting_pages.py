"""The settings as they are documented, read from the models; as comments for `.env.example` and `pipelines.env`.

What belongs here: the order of the sections, and what the models do not know. What does not: a setting's name, default
and description, which are in its model, and the pages (`local.commands.setting_pages`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr

from include.settings import (
    AlertMailSettings,
    AlertSettings,
    FeastSettings,
    IngestSettings,
    LakeSettings,
    MlServiceSettings,
    QualitySettings,
    RetentionSettings,
    SourceSettings,
    StoreSettings,
    StreamSettings,
    TrainingSettings,
)
from include.settings_base import is_constant
from local.settings import PlatformSettings

if TYPE_CHECKING:
    from collections.abc import Collection

    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings

PIPELINE_MODELS: tuple[type[BaseSettings], ...] = (
    IngestSettings, StreamSettings, MlServiceSettings, SourceSettings, TrainingSettings,
    QualitySettings, LakeSettings, FeastSettings, RetentionSettings, AlertSettings, AlertMailSettings,
)  # fmt: skip
MODELS: tuple[type[BaseSettings], ...] = (PlatformSettings, *PIPELINE_MODELS, StoreSettings)
# Defaults that depend on the machine, as they are documented.
_DOCUMENTED = {
    "PLATFORM_HOME": ".local",
    "INGEST_CONTRACTS_DIR": "contracts",
    "INGEST_CONTRACTS_CACHE_DIR": ".local/contracts-cache",
    "INGEST_SPOOL_DIR": ".local/spool",
    "SOURCES_DIR": "sources",
    "FEAST_DIR": ".venv/feast",
}


@dataclass(frozen=True)
class Setting:
    """A setting as it is documented. `default` is empty if there is none."""

    name: str
    default: str
    description: str

    @property
    def set_by_up(self) -> bool:
        """Whether `up` and docker-compose.yaml set it, so that a line in `.env` has no effect."""
        return self.name in _SET_BY_UP


def settings_of(model: type[BaseSettings]) -> list[Setting]:
    """The settings of a model in its order, without its constants.

    Args:
        model: a class of `include.settings`, or PlatformSettings.
    """
    prefix = model.model_config.get("env_prefix", "")
    return [
        _setting(str(field.validation_alias or f"{prefix}{name}").upper(), field)
        for name, field in model.model_fields.items()
        if not is_constant(field)
    ]


def commented(models: Collection[type[BaseSettings]], without: Collection[str] = ()) -> str:
    """The settings as comments with their defaults, in sections, for a file of variables.

    Args:
        models: the sections.
        without: names that are left out, besides those that `up` sets.
    """
    return "".join(_lines(model, without) for model in models)


def _lines(model: type[BaseSettings], without: Collection[str]) -> str:
    chosen = [one for one in settings_of(model) if not one.set_by_up and one.name not in without]
    if not chosen:
        return ""
    lines = "".join(f"{f'#{one.name}={one.default}':<40}  # {one.description}\n" for one in chosen)
    return f"\n# --- {model.model_config['title']}: {introduction(model)}\n{lines}"


def introduction(model: type[BaseSettings]) -> str:
    """The first paragraph of the docstring, without the sentence about the prefix."""
    paragraph = " ".join((model.__doc__ or "").split("\n\n")[0].split())
    return re.sub(r" ?Each name is read from .*", "", paragraph)


def _setting(name: str, field: FieldInfo) -> Setting:
    default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    documented = _DOCUMENTED.get(name, "" if default is None else str(default))
    return Setting(name, documented, field.description or "")


_SET_BY_UP = frozenset(
    {"ML_SERVICE_URL", "ML_SERVICE_TOKEN", "MLFLOW_TRACKING_URI", "MODEL_SIGNING_KEY"}
    | {one.name for one in settings_of(StoreSettings)}
)

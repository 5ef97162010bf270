"""The base of the models of settings: frozen, read once from the environment, with constants beside the settings.

What belongs here: what all models share. What does not: any setting (`include.settings`, `metabase.settings`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


def constant(value: Any, **limits: Any) -> Any:
    """A field without a variable, because no user needs to change it. Code may pass another value as an argument."""
    return Field(value, json_schema_extra={"constant": True}, **limits)


def is_constant(field: FieldInfo) -> bool:
    """Whether a field was declared by `constant`."""
    return isinstance(field.json_schema_extra, dict) and "constant" in field.json_schema_extra


class Settings(BaseSettings):
    """The base of the models. Constants are not read from the environment."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True, hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments come first, then the environment."""
        return init_settings, _Environment(settings_cls), dotenv_settings, file_secret_settings


class _Environment(EnvSettingsSource):
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The variable of a field; nothing for a constant."""
        return (None, field_name, False) if is_constant(field) else super().get_field_value(field, field_name)

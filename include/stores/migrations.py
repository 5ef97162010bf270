"""Migrates the warehouse's schemas to the newest version with Alembic, as the owner's role."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from include.settings import WarehouseConfig

MIGRATIONS = Path(__file__).parents[2] / "sql" / "migrations"


def upgrade(config: WarehouseConfig) -> None:
    """Run every migration that has not run yet, each in its own transaction. Safe to run at every start."""
    engine = create_engine(_url(config), poolclass=NullPool)
    alembic = Config()
    alembic.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect() as connection:
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, "head")


def _url(config: WarehouseConfig) -> URL:
    return URL.create(
        "postgresql+psycopg",
        username=config.user,
        password=config.password.get_secret_value(),
        host=config.host,
        port=config.port,
        database=config.database,
        query={"connect_timeout": str(config.connect_timeout)},
    )

"""A separate pipeline for every test: bucket, dataset and table have the test's name, so tests do not interfere."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from ingest_pipeline import Pipeline, Row, direct

from include.contracts.reader import read_contract
from include.settings import CONTRACTS_DIR, IngestSettings
from local.services import bucket as local_bucket
from tests import own_names
from tests.integration.own_platform import RUN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

    from include.contracts.model import Contract
    from local.supervisor.platform import Platform


class MakePipeline(Protocol):
    """`make_pipeline("inventory", unknown_columns=..., settings={"max_attempts": 2})`."""

    def __call__(self, base: str = "sales", *, settings: dict[str, Any] | None = None, **changes: Any) -> Pipeline: ...


@pytest.fixture(scope="session")
def contracts() -> dict[str, Contract]:
    """The contracts of this repository, by dataset."""
    return {name: read_contract(CONTRACTS_DIR / f"{name}.yaml") for name in ("sales", "inventory")}


@pytest.fixture(scope="session")
def owner(platform: Platform) -> Iterator[psycopg.Connection[Row]]:
    """A connection to the warehouse as its owner, to check what the pipeline did."""
    with direct(platform.warehouse_config("owner")) as connection:
        yield connection


@pytest.fixture
def own_name(request: pytest.FixtureRequest) -> str:
    """A name for the test's dataset."""
    return own_names.own_name(request.node.nodeid + os.environ.get(RUN, ""))


@pytest.fixture
def make_pipeline(
    platform: Platform,
    contracts: dict[str, Contract],
    owner: psycopg.Connection[Row],
    own_name: str,
    tmp_path: Path,
) -> Iterator[MakePipeline]:
    """Makes pipelines with changed contracts, by default without expectations: their library takes seconds to load."""
    made: list[Pipeline] = []
    name = own_name.replace("_", "-")
    local_bucket.client(platform.s3_config).create_bucket(Bucket=name)

    def make(base: str = "sales", *, settings: dict[str, Any] | None = None, **changes: Any) -> Pipeline:
        fields = {"dataset": own_name, "expectations": (), **changes}
        chosen = {
            "landing_bucket": name,
            "spool_dir": tmp_path / "spool",
            "lock_timeout_seconds": 1,
            **(settings or {}),
        }
        pipeline = Pipeline(
            contract=replace(contracts[base], **fields),
            settings=IngestSettings(**chosen),
            s3=platform.s3_config,
            warehouse=platform.warehouse_config(),
            owner=owner,
            folder=tmp_path,
        )
        made.append(pipeline)
        return pipeline

    yield make
    for pipeline in made:
        pipeline.sql("DROP TABLE IF EXISTS {table}")


@pytest.fixture
def pipeline(make_pipeline: MakePipeline) -> Pipeline:
    """A pipeline with the contract of sales."""
    return make_pipeline()

"""Runs the `filegate` command on a test's pipeline, with a contract of its own that both read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from include.contracts.reader import read_contract
from local import addresses

if TYPE_CHECKING:
    from ingest_pipeline import Pipeline

    from local.supervisor.platform import Platform

HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: {dataset}
name: Orders
version: {version}
status: {status}
description: {{purpose: A test., usage: A test., limitations: None.}}
customProperties:
  - {{property: ingestion, value: {options}}}
schema:
  - name: {dataset}
    physicalType: table
    properties:
"""
COLUMNS = (
    "{name: id, logicalType: string, physicalType: text, primaryKey: true, required: true}",
    "{name: amount, logicalType: integer}",
    "{name: at, logicalType: timestamp, physicalType: timestamptz, required: true, "
    "logicalTypeOptions: {timezone: true}}",
)


class Filegate:
    """The command, run with the addresses of the tests' platform and the bucket of one test."""

    def __init__(self, platform: Platform, pipeline: Pipeline) -> None:
        self.environment = os.environ | addresses.for_library(platform) | {"INGEST_LANDING_BUCKET": pipeline.bucket}
        self.pipeline = pipeline

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "include.cli", *map(str, arguments)]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=120,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def on_terminal(self, *arguments: object, columns: int = 80) -> list[str]:
        """The lines that a terminal of this width shows, without colours. The command ends with 0.

        Not every machine has pseudo-terminals, so the command only believes that it writes to one.
        """
        code = "import sys; sys.stdout.isatty = lambda: True; from include.cli.app import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
            env=self.environment | {"COLUMNS": str(columns), "TERM": "xterm"}, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout).splitlines()

    def json(self, *arguments: object, code: int = 0) -> Any:
        done = self(*arguments, "--json")
        assert done.returncode == code, done.stderr + done.stdout
        return json.loads(done.stdout)

    def write_contract(
        self,
        *columns: str,
        newest_by: str | None = "at",
        status: str = "active",
        version: str = "1.0.0",
        **options: object,
    ) -> None:
        """Write the contract of the test's dataset; the pipeline and the command use it from now on."""
        folder = self.pipeline.folder / "contracts"
        folder.mkdir(exist_ok=True)
        self.environment["INGEST_CONTRACTS_DIR"] = str(folder)
        chosen = {"unknownColumns": "rescue", "errorBudget": {"share": 0.9}} | options
        if newest_by:
            chosen["newestBy"] = newest_by
        dataset = self.pipeline.contract.dataset
        head = HEAD.format(dataset=dataset, version=version, status=status, options=json.dumps(chosen))
        path = folder / f"{dataset}.yaml"
        path.write_text(head + "".join(f"      - {column}\n" for column in columns or COLUMNS), encoding="utf-8")
        self.pipeline.contract = read_contract(path)

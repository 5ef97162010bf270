"""Checks every LogQL expression with the parser of Grafana's query editor. It needs Node and npm."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from tests.monitoring_files import expressions

pytestmark = pytest.mark.integration

PACKAGES = ("@grafana/lezer-logql@0.4.2", "@lezer/lr@1.4.10")
FOLDER = Path(sys.prefix) / "node" / "logql"

# Prints the positions of parse errors for each query of the list on stdin.
PROGRAM = """
const { parser } = require("@grafana/lezer-logql");
const queries = JSON.parse(require("fs").readFileSync(0, "utf8"));
const errors = (text) => {
  const found = [];
  parser.parse(text).iterate({ enter: (node) => { if (node.type.isError) found.push(node.from); } });
  return found;
};
process.stdout.write(JSON.stringify(queries.map(errors)));
"""


@pytest.fixture(scope="module")
def parser() -> str:
    """The path of node; the parser is installed once into the virtualenv."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not (node and npm):
        pytest.skip("no Node on this machine: test_monitoring_files checks LogQL with its own parser")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with FileLock(str(FOLDER.with_suffix(".lock"))):
        if not (FOLDER / ".complete").exists():
            install = [
                npm,
                "install",
                "--prefix",
                str(FOLDER),
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                *PACKAGES,
            ]
            done = subprocess.run(install, capture_output=True, text=True, timeout=180, check=False)
            if done.returncode:
                pytest.skip(f"npm cannot fetch Grafana's parser: {done.stderr.strip()[-200:]}")
            (FOLDER / ".complete").touch()
    return node


def parsed(node: str, *queries: str) -> list[list[int]]:
    """Return the positions of parse errors in each query."""
    done = subprocess.run(
        [node, "-e", PROGRAM], input=json.dumps(queries), cwd=FOLDER, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    found: list[list[int]] = json.loads(done.stdout)
    return found


def test_grafanas_parser_understands_each_expression(parser: str) -> None:
    queries = expressions("loki")
    found = parsed(parser, *(expression.text for expression in queries))
    assert dict(zip(map(str, queries), found, strict=True)) == {str(expression): [] for expression in queries}


def test_grafanas_parser_refuses_what_is_not_logql(parser: str) -> None:
    assert all(parsed(parser, '{a="b"', 'sum by (a ({a="b"}[1m])', '{a="b"} |= '))

"""Starts Debian's Prometheus and SQL exporter with the shipped configuration on free ports.

Only addresses and intervals are changed, so that a test does not wait 15 seconds for a scrape.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import quote, urlencode
from urllib.request import urlopen

import yaml

from local.services import debian
from local.settings import free_ports
from tests.monitoring_files import EXPORTER, PROMETHEUS, read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from include.settings import WarehouseConfig

SECONDS = 90  # for a machine under load; usually the waits here are much shorter


@dataclass(frozen=True)
class Prometheus:
    """A client of a running server."""

    address: str

    def get(self, path: str, **parameters: str) -> Any:
        with urlopen(f"{self.address}/api/v1/{path}?{urlencode(parameters)}", timeout=30) as answer:
            content = json.load(answer)
        assert content["status"] == "success"
        return content["data"]

    def values(self, expression: str) -> dict[str, float]:
        """The samples of an instant query, by their labels without name, job and instance: `a=1,b=2`."""
        found = {}
        for sample in self.get("query", query=expression)["result"]:
            labels = {k: v for k, v in sample["metric"].items() if k not in {"__name__", "job", "instance"}}
            found[",".join(f"{k}={v}" for k, v in sorted(labels.items()))] = float(sample["value"][1])
        return found

    def labels_of(self, metric: str) -> set[str]:
        """All labels of a metric's series; empty where there is none."""
        parameters = {"match[]": f'{{__name__="{metric}"}}'}
        return {label for series in self.get("series", **parameters) for label in series}


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Poll a condition until it is true."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {SECONDS} s"
        time.sleep(0.1)


@contextmanager
def sql_exporter(warehouse: WarehouseConfig, log: Path) -> Iterator[int]:
    """Start the SQL exporter with the shipped file; yield its port."""
    found = debian.program("prometheus-sql-exporter", "prometheus-sql-exporter")
    (port,) = free_ports(1)
    password = quote(warehouse.password.get_secret_value(), safe="")
    server = f"{warehouse.host}:{warehouse.port}/{warehouse.database}"
    variables = {"WAREHOUSE_READER_URL": f"postgres://{warehouse.user}:{password}@{server}?sslmode=disable"}
    flags = ["-config.file", str(EXPORTER), "-web.listen-address", f"127.0.0.1:{port}"]
    with _process([str(found.path), *flags], found.environment | variables, log):
        yield port


@contextmanager
def prometheus(targets: Mapping[str, int], folder: Path) -> Iterator[Prometheus]:
    """Start Prometheus with the shipped file and rules; yield it when it answers.

    Args:
        targets: the port on loopback for each target of the file, as `sql-exporter:9237`; others do not answer.
        folder: for its data and its log.
    """
    found = debian.program("prometheus", "prometheus")
    port, nowhere = free_ports(2)
    config = read_yaml(PROMETHEUS / "prometheus.yml")
    config["global"] = dict.fromkeys(config["global"], "1s")
    config["rule_files"] = [str(PROMETHEUS / name) for name in config["rule_files"]]
    for job in config["scrape_configs"]:
        job["scrape_interval"] = "1s"
        job.pop("scrape_timeout", None)
        for group in job["static_configs"]:
            ports = {"localhost:9090": port, **targets}
            group["targets"] = [f"127.0.0.1:{ports.get(name, nowhere)}" for name in group["targets"][:1]]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    flags = [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with _process([str(found.path), *flags], found.environment, folder / "prometheus.log"):
        server = Prometheus(f"http://127.0.0.1:{port}")
        wait_for(lambda: _answers(f"{server.address}/-/ready"), "Prometheus")
        yield server


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=5):
            return True
    except (URLError, OSError):
        return False


@contextmanager
def _process(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], **environment},
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

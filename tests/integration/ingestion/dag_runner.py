"""Runs one ingest DAG with Airflow in a separate process: each line of input starts a run, and each answer is JSON.

`{"failed_looks": 25, "port": 4711, "target": 9000}`: nothing listens on `port` until the sensor has failed so often.
From then on connections to it are forwarded to `target`, the port of the store.
"""

import importlib.util
import json
import os
import socket
import sys
import threading
from pathlib import Path

from include.errors import RetryableError
from include.orchestration.file_sensor import FilesWaitingTrigger

failed = [0]


def forward(port: int, target: int) -> None:
    """Listen, and pass every connection on."""

    def pipe(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
        except OSError:
            pass
        finally:
            sink.close()

    server = socket.create_server(("127.0.0.1", port))

    def serve() -> None:
        while True:
            client, _ = server.accept()
            store = socket.create_connection(("127.0.0.1", target))
            for ends in ((client, store), (store, client)):
                threading.Thread(target=pipe, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()


def count_failed_looks(until: int, port: int, target: int) -> None:
    original = FilesWaitingTrigger.poll

    def poll(trigger: FilesWaitingTrigger) -> int:
        try:
            return original(trigger)
        except RetryableError:
            failed[0] += 1
            if failed[0] == until:
                forward(port, target)
            raise

    FilesWaitingTrigger.poll = poll  # type: ignore[method-assign]


def load(path: Path) -> object:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    dag = load(Path(sys.argv[1])).ingest  # type: ignore[attr-defined]
    for line in sys.stdin:
        wanted = json.loads(line)
        os.environ.update(wanted.get("environment", {}))
        if until := wanted.get("failed_looks"):
            count_failed_looks(until, wanted["port"], wanted["target"])
        run = dag.test()
        states = {f"{each.task_id}": str(each.state) for each in run.get_task_instances()}
        print("RUN" + json.dumps({"state": str(run.state), "tasks": states, "failed_looks": failed[0]}), flush=True)


if __name__ == "__main__":
    main()

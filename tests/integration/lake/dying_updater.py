"""Updates a table of the lake in a process that kills itself before a statement, or right after the commit.

Arguments: a JSON of the lake's, the reader's and the locks' configuration, the table's name, and the beginning of the
statement before which the process dies; `AFTER` stands for the moment after the commit.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from include.lake.config import LakeConfig
from include.lake.connect import open_lake
from include.lake.tables import LakeTable
from include.lake.update import TableUpdater
from include.settings import WarehouseConfig


class _Dying:
    def __init__(self, engine: Any, before: str) -> None:
        self._engine, self._before = engine, before

    def execute(self, sql: str, *values: Any) -> Any:
        if sql.startswith(self._before):
            os.kill(os.getpid(), signal.SIGKILL)
        answer = self._engine.execute(sql, *values)
        if sql == "COMMIT" and self._before == "AFTER":
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def main(configuration: str, name: str, before: str) -> None:
    given = json.loads(Path(configuration).read_text())
    warehouse = WarehouseConfig(**given["warehouse"])
    with open_lake(LakeConfig(**given["lake"]), warehouse) as engine:
        dying: Any = _Dying(engine, before)
        TableUpdater(dying, WarehouseConfig(**given["locks"])).update(LakeTable("raw", name, ("id",)))


if __name__ == "__main__":
    main(*sys.argv[1:])

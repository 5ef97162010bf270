"""Runs the DAG `materialize_features` with Airflow: for each line of input, in which FEAST_DIR stands, an answer."""

import importlib.util
import json
import os
import sys
from pathlib import Path

from include.settings import feast_settings


def main() -> None:
    for line in sys.stdin:
        os.environ["FEAST_DIR"] = line.strip()
        feast_settings.cache_clear()
        for name in [name for name in sys.modules if name.startswith("include.orchestration")]:
            del sys.modules[name]  # the task has the path of Feast's Python
        spec = importlib.util.spec_from_file_location("materialize", Path(sys.argv[1]))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        run = module.materialize_features().test()
        states = {each.task_id: str(each.state) for each in run.get_task_instances()}
        print("RUN" + json.dumps({"state": str(run.state), "tasks": states}), flush=True)


if __name__ == "__main__":
    main()

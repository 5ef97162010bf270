"""The child process that checks contracts: `python -m include.contracts.check_child`.

What belongs here: its loop and its limits. What does not: the parent process that starts it (`check_parent`). It reads
one request a line from standard input, `{"name": file name, "content": base64}`, and answers with lines of JSON:
`{"remains": {...}}` (see `remains`), `{"at": path}` before each expression, then `{"contract": {...}}` or
`{"problems": [[path, what, remedy], ...]}`.
A contract that exceeds the limits ends this process; the parent refuses that contract alone.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.contracts.codec import encoded
from include.contracts.problems import ContractError
from include.contracts.reader import compile_contract
from include.contracts.remains import read_remains

if TYPE_CHECKING:
    from typing import TextIO

CPU_SECONDS = 5
MEMORY_BYTES = 512 * 1024**2
OUT_OF_MEMORY = 86  # exit code
IDLE_SECONDS = 5.0
MAX_PROBLEMS = 100
_SAMPLE = b"""
apiVersion: v3.1.0
kind: DataContract
id: warm_up
version: 1.0.0
status: active
schema:
  - name: warm_up
    properties:
      - name: key
        logicalType: string
        primaryKey: true
        required: true
        logicalTypeOptions: {pattern: "[a-z]+"}
    quality:
      - name: long
        type: custom
        engine: rowRule
        implementation: {expression: length(key) > 1}
"""


def main() -> None:
    """Answer requests until none came for `IDLE_SECONDS`, or the parent has ended."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a library that prints must not disturb the answers
    _warm_up()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, _address_space() + MEMORY_BYTES)
    _say(answers, {"ready": True})
    while select.select([0], [], [], IDLE_SECONDS)[0]:
        line = sys.stdin.buffer.readline()
        if not line:
            return
        try:
            request = json.loads(line)
            answer = check(request["name"], base64.b64decode(request["content"]), answers)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        _say(answers, answer)


def check(name: str, content: bytes, answers: TextIO) -> dict[str, Any]:
    """The answer for one contract."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + CPU_SECONDS + 1)
    _say(answers, {"remains": read_remains(content).as_json()})  # first: the contract may end this process
    try:
        return {"contract": encoded(compile_contract(Path(name), content, lambda at: _say(answers, {"at": at})))}
    except ContractError as error:
        problems = [[problem.path, problem.what, problem.remedy] for problem in error.problems]
    except MemoryError:
        raise
    except Exception as error:
        what = f"cannot be compiled: {type(error).__name__}: {str(error)[:200]}"
        problems = [["", what, "compare it with docs/contracts.md, and report the message as a defect of FileGate"]]
    if len(problems) > MAX_PROBLEMS:
        more = ["", f"{len(problems) - MAX_PROBLEMS} more problems", "correct these first"]
        problems = [*problems[:MAX_PROBLEMS], more]
    return {"problems": problems}


def _warm_up() -> None:
    """Import everything that a contract needs, so that the limits apply to contracts alone."""
    compile_contract(Path("warm_up.yaml"), _SAMPLE)


def _address_space() -> int:
    """This process's address space in bytes."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # not Linux
        return 2 * 1024**3
    return pages * resource.getpagesize()


def _limit(what: int, value: int) -> None:
    """Set a soft limit, or as much of it as the hard limit allows."""
    _, hard = resource.getrlimit(what)
    soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(what, (soft, hard))
    except (OSError, ValueError):  # macOS refuses some: the parent's timeout remains
        return


def _say(answers: TextIO, what: dict[str, Any]) -> None:
    answers.write(json.dumps(what) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()

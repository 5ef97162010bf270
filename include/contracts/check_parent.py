"""Starts the child process that checks contracts, sends it requests, and interprets its end.

What belongs here: starting and ending `check_child`, and its time limit. What does not: checking itself
(`check_child`), the cache (`checked`).
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.contracts.cache import MAX_ENTRY_BYTES, Entry

if TYPE_CHECKING:
    from typing import IO

WALL_SECONDS = 30.0  # of one contract; longer than its CPU limit, for a loaded machine gives it little CPU time
START_SECONDS = 120.0
_OUT_OF_MEMORY = 86  # the child's exit code
# How native code ends a process if it gets no memory (127: the dynamic loader), and after a defect of its own.
_NATIVE_ENDS = (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, 127)
_ROOT = Path(__file__).parents[2]
_SIMPLER = "make it simpler: fewer functions, lists and patterns inside each other"
_AGAIN = "check the load and the free memory of the machine; the contract is checked again when it is next read"
# Only these variables: this process may have passwords in its environment.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV", "HOME", "PYTHONUSERBASE")


class ContractChecker:
    """Checks contracts in a child process, which is started when it is needed. One contract at a time."""

    def __init__(self) -> None:
        self._child: _Child | None = None
        self._lock = threading.Lock()

    def check(self, name: str, content: bytes) -> tuple[Entry, bool]:
        """A contract's entry, and whether the same content would always give the same entry.

        Args:
            name: the file's name.
            content: its bytes.
        """
        with self._lock:
            for _ in range(2):
                try:
                    child = self._running()
                except _EndedError as ended:
                    return _refusal(
                        "", f"could not be checked: {ended}", "wait: it is checked again when it is next read"
                    ), False
                try:
                    return child.ask(name, content), True
                except _EndedError as ended:
                    self._close()
                    if not ended.idle:  # else it ended as idle just before the request
                        return _refusal(ended.at, str(ended), _SIMPLER) | ended.remains, ended.lasting
                except BaseException:
                    # Interrupted, for example by Airflow's timeout: a late answer must not reach the next request.
                    self._close()
                    raise
        return _refusal("", "could not be checked: the checking process ends at once", _AGAIN), False

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._close()

    def _running(self) -> _Child:
        if self._child is None or self._child.has_ended:
            self._close()
            self._child = _Child()
        return self._child

    def _close(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()


class _EndedError(Exception):
    """The child has ended, or must be ended. `lasting`: the same content would end it again."""

    def __init__(self, message: str, *, lasting: bool = False, idle: bool = False) -> None:
        super().__init__(message)
        self.lasting, self.idle, self.at = lasting, idle, ""
        self.remains: Entry = {}


class _Child:
    """One running child."""

    def __init__(self) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "include.contracts.check_child"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env=environment | {"PYTHONPATH": str(_ROOT)}, cwd=_ROOT, bufsize=0,
            )  # fmt: skip
        except OSError as error:
            raise _EndedError(f"no process can be started ({error.strerror})") from error
        self._requests: IO[bytes] = self._process.stdin  # type: ignore[assignment]
        self._answers: IO[bytes] = self._process.stdout  # type: ignore[assignment]
        self._received = b""
        try:
            self._line(time.monotonic() + START_SECONDS)
        except _EndedError as ended:
            self.kill()
            raise _EndedError(f"the checking process does not start ({ended})") from ended

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(OSError):
                pipe.close()

    def ask(self, name: str, content: bytes) -> Entry:
        request = {"name": name, "content": base64.b64encode(content).decode()}
        at, remains = "", Entry()
        try:
            _write_all(self._requests.fileno(), json.dumps(request).encode() + b"\n")
            until = time.monotonic() + WALL_SECONDS
            while not {"contract", "problems"} & (answer := self._line(until)).keys():
                at = str(answer.get("at", at))
                remains = remains or {name: answer[name] for name in answer if name == "remains"}
        except OSError as error:
            raise self._ended() from error
        except _EndedError as ended:
            ended.at, ended.remains = at, remains
            raise
        return answer | remains if "problems" in answer else answer

    def _line(self, until: float) -> dict[str, Any]:
        """The child's next line, which must come before the monotonic clock shows `until`."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while b"\n" not in self._received:
                left = until - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise _EndedError("checking it took too long")
                piece = os.read(self._answers.fileno(), 1 << 16)
                if not piece:
                    raise self._ended()
                self._received += piece
                if len(self._received) > MAX_ENTRY_BYTES:
                    raise _EndedError(f"it makes more than {MAX_ENTRY_BYTES >> 20} MB when compiled", lasting=True)
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ended(self) -> _EndedError:
        """Why the child has ended."""
        code = self._process.wait()
        if code == 0:
            return _EndedError("the checking process ended", idle=True)
        if code == -signal.SIGXCPU:
            return _EndedError("checking it took more than 5 seconds of CPU time", lasting=True)
        if code == _OUT_OF_MEMORY:
            return _EndedError("checking it took more than 512 MB of memory", lasting=True)
        if code == -signal.SIGKILL:  # by the kernel, perhaps, because the machine has no memory left
            return _EndedError("the process that checked it was killed")
        cause = ", probably because it takes more than 512 MB of memory" if code in _NATIVE_ENDS else ""
        return _EndedError(f"it ended the process that checked it (exit code {code}){cause}", lasting=True)


def _refusal(at: str, what: str, remedy: str) -> Entry:
    return {"problems": [[at, what, remedy]]}


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


_checkers: dict[int, ContractChecker] = {}


def contract_checker() -> ContractChecker:
    """The checker of this process: one that was forked has a child of its own."""
    if os.getpid() not in _checkers:
        _checkers.clear()
        _checkers[os.getpid()] = ContractChecker()
        atexit.register(_checkers[os.getpid()].close)
    return _checkers[os.getpid()]

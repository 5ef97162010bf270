"""How an error ends a command: `error:`, what happened, where, what to do, on stderr. Never a traceback.

What belongs here: the texts of errors for users, for every command of the project. What does not: any command.
"""

from __future__ import annotations

import re
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from include.errors import CommandError, PipelineError, visible
from include.errors.registry import remedies, stops_the_work

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from pydantic import ValidationError

    from include.settings_base import Settings

FAILED = 1
INTERRUPTED = 130
_CHECKOUT = Path(__file__).parents[1]
_SECRET = re.compile("PASSWORD|SECRET|TOKEN|KEY")


@contextmanager
def explained() -> Iterator[None]:
    """Turn an error that stops a command into lines on stderr and an exit code.

    Raises:
        SystemExit: with FAILED after an error, with INTERRUPTED after Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        _print("interrupted")
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        lines = error_lines(error)
        if not lines:
            raise
        _print(*lines)
        raise SystemExit(FAILED) from error


@contextmanager
def no_traceback() -> Iterator[None]:
    """As `explained`, and one line for a defect, too. In Python's development mode a defect has its traceback."""
    try:
        with explained():
            yield
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        what = visible(f"{type(error).__name__}: {error}")
        _print(
            f"error: a defect of FileGate: {what}{_source_line(error.__traceback__)}. "
            "Remedy: report it, with the traceback that PYTHONDEVMODE=1 shows"
        )
        raise SystemExit(FAILED) from error


def error_lines(error: Exception) -> list[str]:
    """What a user reads of an error: one line, and further ones for lines of a log or the problems of a contract.

    Returns:
        Empty for an exception that no part of the project raises for users.
    """
    from pydantic import ValidationError  # with an error only: the list of all commands appears without it
    from pydantic_settings import SettingsError

    match error:
        case CommandError():
            return [*(f"  {visible(line)}" for line in error.context), f"error: {visible(str(error))}"]
        case PipelineError():
            return _of_pipeline(error)
        case ValidationError():
            return [f"error: {visible(_refused_setting(error))}"]
        case SettingsError():  # no JSON; the text has the name of the field and not its value
            return [f"error: a setting cannot be used: {visible(str(error))}: correct it in the environment or in .env"]
        case BrokenPipeError():  # the reader of the output has ended
            return []
        case OSError():
            where = f": {error.filename}" if error.filename else ""
            return [f"error: {visible(f'{error.strerror or error}{where}')}"]
    return []


def _of_pipeline(error: PipelineError) -> list[str]:
    problems = error.details.get("problems")
    if isinstance(problems, tuple):  # those of a contract: each has its place and remedy
        first, *_ = str(error).split("\n", maxsplit=1)
        return [f"error: {visible(first)}", *(f"  - {visible(str(problem))}" for problem in problems)]
    text = visible(str(error))
    if stops_the_work(error.code):
        text = f"{text.removesuffix('.')}. Remedy: {remedies([error.code])[error.code]}"
    return [f"error: {text}"]


def _refused_setting(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = _prefix(error.title) + "_".join(map(str, first["loc"])).upper()
    shown = "***" if _SECRET.search(name) or _is_hidden(error.title, first["loc"]) else first["input"]
    problem = f"{name}={shown}: {first['msg']}" if first["loc"] else first["msg"]
    return f"a setting cannot be used: {problem}: correct it in the environment or in .env"


def _models() -> dict[str, type[Settings]]:
    """The models of settings by their titles, as pydantic's errors have them."""
    from include.settings_base import Settings

    return {str(model.model_config.get("title", model.__name__)): model for model in Settings.__subclasses__()}


def _is_hidden(title: str, location: tuple[int | str, ...]) -> bool:
    """Whether the value of a setting is not to be shown."""
    model = _models().get(title)
    field = model.model_fields.get(str(location[0])) if model and location else None
    return field is not None and field.repr is False


def _prefix(title: str) -> str:
    """What the variables of a model begin with."""
    if title.endswith("Config"):  # made of settings: the port of WarehouseConfig is WAREHOUSE_PORT
        return f"{title.removesuffix('Config').upper()}_"
    models = _models()
    return models[title].model_config.get("env_prefix", "") if title in models else ""


def _source_line(trace: TracebackType | None) -> str:
    """The last line of this checkout that ran, as ` at include/cli/files.py:51`."""
    own = [
        frame for frame in traceback.extract_tb(trace)
        if Path(frame.filename).is_relative_to(_CHECKOUT) and "site-packages" not in frame.filename
    ]  # fmt: skip
    return f" at {Path(own[-1].filename).relative_to(_CHECKOUT)}:{own[-1].lineno}" if own else ""


def _print(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)

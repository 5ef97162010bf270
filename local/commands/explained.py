"""An error that ends a command as one line on stderr and an exit code."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import typer
from pydantic import ValidationError

from include.cli.output import fail
from include.errors import PipelineError, visible
from local.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERRUPTED = 130


@contextmanager
def explained() -> Iterator[None]:
    """Turn an error that ends a command into one line on stderr and an exit code, instead of a stack trace."""
    signal.signal(signal.SIGTERM, _interrupt)  # so that an interrupted start stops what it has started
    try:
        yield
    except PlatformError as error:
        for line in error.context:
            typer.echo(f"  {line}", err=True)
        fail(str(error))
    except ValidationError as error:
        fail(_refused_setting(error))
    except OSError as error:
        fail(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
    except PipelineError as error:
        fail(visible(str(error)))
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _refused_setting(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = ".".join(map(str, first["loc"])).upper()
    problem = f"{name}={first['input']}: {first['msg']}" if name else first["msg"]
    return f"a setting cannot be used: {problem}: correct it in the environment or in .env"


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt

"""`filegate dev settings`: write the pages that list every setting, or check them."""

from __future__ import annotations

from typing import Annotated

import typer

from local.commands.explained import explained
from local.errors import PlatformError
from local.setting_pages import EXAMPLE, PAGE, configuration_page, env_example
from local.settings import REPOSITORY

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def settings(
    check: Annotated[bool, typer.Option("--check", help="write nothing; exit code 1 if a page differs")] = False,
) -> None:
    """Write docs/configuration.md and .env.example from the models of the settings."""
    with explained():
        for path, text in ((PAGE, configuration_page()), (EXAMPLE, env_example())):
            name = path.relative_to(REPOSITORY)
            if path.read_text(encoding="utf-8") == text:
                typer.echo(f"{name} is up to date.")
            elif check:
                raise PlatformError(f"{name} differs from the models of the settings", "run: filegate dev settings")
            else:
                path.write_text(text, encoding="utf-8")
                typer.echo(f"{name} is written.")

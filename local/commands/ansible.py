"""`filegate dev ansible`: the playbook of deploy/ansible, which sets a host up, starts, feeds and verifies it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from local.settings import REPOSITORY

_PROGRAMS = Path(sys.executable).parent
# The playbook calls make on the host, which may be this machine, with another checkout.
_NOT_FOR_THE_HOST = ("MAKEFLAGS", "MAKELEVEL", "PYTHONPATH")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def ansible(
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Passed to ansible-playbook: -i inventories/hosts.yml --tags verify.")
    ] = None,
) -> None:
    """Set a host up, start the platform, drop samples and verify them; this machine if no inventory is given."""
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_THE_HOST}
    environment["PATH"] = f"{_PROGRAMS}{os.pathsep}{environment.get('PATH', os.defpath)}"
    environment["VIRTUAL_ENV"] = sys.prefix
    program = str(_PROGRAMS / "ansible-playbook")
    os.chdir(REPOSITORY / "deploy" / "ansible")
    os.execve(program, [program, "site.yml", *(arguments or [])], environment)  # noqa: S606 - no shell

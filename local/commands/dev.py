"""`filegate dev`: what developers of FileGate run."""

from __future__ import annotations

import typer

from include.cli.lazy_group import Command, lazy_group

_PAGES, _HOSTS, _CONTAINERS = "Generated pages", "Hosts", "Containers"
_TRIALS = "Trials of minutes and hours"
_COMMANDS = (
    Command(
        _PAGES, "settings", "local.commands.setting_pages:app", "write docs/configuration.md and .env.example [--check]"
    ),
    Command(_HOSTS, "ansible", "local.commands.ansible:app", "set a host up, start, feed and verify it"),
    Command(_CONTAINERS, "compose-check", "deploy.__main__:app.check", "check docker-compose.yaml"),
    Command(_CONTAINERS, "env-file", "deploy.__main__:app.env-file", "write .env with random secrets"),
    Command(_TRIALS, "torture", "proof.torture.__main__:app", "kill, cut and fill a platform under load, then count"),
    Command(_TRIALS, "mutation", "proof.mutation.__main__:app", "change the core's code; a test must fail"),
    Command(_TRIALS, "soak", "proof.soak.__main__:app", "a steady load for a while, and what grows"),
)

app = typer.Typer(
    cls=lazy_group(_COMMANDS), no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    add_completion=False, help="Commands for work on FileGate itself.",
)  # fmt: skip
app.callback()(lambda: None)

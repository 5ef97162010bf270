"""The commands of the embedded platform, for `filegate`."""

from __future__ import annotations

from include.cli.lazy_group import Command

_PLATFORM, _FILES, _DAGS, _DEV = "Platform", "Files", "DAGs and warehouse", "Development"
COMMANDS = (
    Command(_PLATFORM, "demo", "local.__main__:app.demo", "start, drop sample files, print what became of them"),
    Command(_PLATFORM, "up", "local.__main__:app.up", "start everything and wait until it works"),
    Command(_PLATFORM, "down", "local.__main__:app.down", "stop everything; the data stays"),
    Command(
        _PLATFORM,
        "status",
        "local.__main__:app.status",
        "services and sources; exit code 3 if a service is not healthy",
    ),
    Command(_PLATFORM, "logs", "local.commands.shells:app.logs", "the last lines of a service's log"),
    Command(_PLATFORM, "env", "local.__main__:app.env", "addresses and logins as shell exports"),
    Command(_PLATFORM, "psql", "local.commands.shells:app.psql", "a SQL shell in the warehouse"),
    Command(_PLATFORM, "backup", "local.__main__:app.backup", "databases, buckets and secrets into a folder"),
    Command(_PLATFORM, "restore", "local.__main__:app.restore", "the platform as a backup has it"),
    Command(_PLATFORM, "rotate-secrets", "local.__main__:app.rotate-secrets", "new passwords and keys for everything"),
    Command(_PLATFORM, "clean", "local.__main__:app.clean", "stop everything and delete the data"),
    Command(_FILES, "drop", "local.commands.drop:app", "put a file into the bucket; --wait for the verdict"),
    Command(_FILES, "ls", "local.__main__:app.ls", "the keys of a bucket"),
    Command(_FILES, "cat", "local.__main__:app.cat", "an object of a bucket, as it is"),
    Command(_DAGS, "run", "local.__main__:app.run", "trigger a DAG and follow it"),
    Command(_DAGS, "dbt", "local.commands.warehouse:app.dbt", "build all models, or any dbt command"),
    Command(_DAGS, "report", "local.commands.warehouse:app.report", "the dashboards as one page"),
    Command(_DAGS, "schedules", "local.__main__:app.schedules", "every DAG: what starts it, its last runs"),
    Command(_DEV, "dev", "local.commands.dev:app", "for work on FileGate itself, and to deploy it"),
)

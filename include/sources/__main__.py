"""Writes docs/sources.md from the models of the definition: `python -m include.sources`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from include.contracts.describe import cell
from include.sources.keys import REQUIRED, DefinitionKey, bucket_keys, database_keys, every_key

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = Path(__file__).parents[2] / "docs" / "sources.md"

EXAMPLE = """\
name: shop_orders
kind: rest
connection: source_shop
schedule: '@hourly'
dataset: shop_orders
deliver: file
keepRaw: {bucket: raw-data, key: 'shop-orders/{date}/{time}-{page}.json'}
incremental: {cursor: updated_at, startParam: updated_since, overlap: 10m, initialValue: '2024-01-01T00:00:00Z'}
limits: {pages: 500, records: 1000000, seconds: 1800, bytes: 500000000}
requests:
  - path: /shops/{shop}/orders
    params: {limit: 100}
    forEach: {shop: [north, south]}
pagination: {type: cursor, cursorPath: meta.next, param: cursor}
records: data
auth: {type: oauth2, tokenPath: /oauth/token}
"""
DATABASE_EXAMPLE = """\
name: crm_users
kind: database
connection: source_crm
schedule: '@hourly'
dataset: users
schema: shop
table: users
incremental: {cursor: updated_at, overlap: 10m, initialValue: '2024-01-01 00:00:00'}
"""
BUCKET_EXAMPLE = """\
name: partner_orders
kind: bucket
connection: source_partner
schedule: '@hourly'
dataset: orders
bucket: exports
prefix: orders/
pattern: '**/*.csv'
"""
_HEAD = """\
# How-to: collect from a REST API, a database or a bucket

<!-- Generated: `python -m include.sources`. -->

The file `sources/<name>.yaml` describes a source; the DAG `collect_<name>` collects it. Records load like any file or
message: contract, quarantine, ledger.

1. Write the contract of the rows: [add a dataset](add-a-dataset.md). A column's `path` starts at the record; `^.`
   climbs to the answer (`^.station.name`); `_for_<name>` is a value of `forEach`, `_collected_at` the answer's time.
   The contract has no `recordPath`.
2. Write the definition:

```yaml
{example}```

3. Add the connection `source_shop` in Airflow, or as the variable `AIRFLOW_CONN_SOURCE_SHOP` in the file `sources.env`,
   which is read at the next start (`filegate down`, `filegate up`). Its host is the address with scheme and path, its
   password the token or key. The definition holds no secret.
4. Run `filegate source check`: it names errors with place and remedy. An editor completes keys with
   the output of `filegate source schema`.
5. Unpause the DAG: a run starts.

Each request, and each combination of values of `forEach`, is an element: a task and a position of its own. If one
fails, the run names it and reads the others. A crash loads no row twice: the position is committed once the records
have arrived. `filegate sources` shows the last runs, and until when an API wants no request (X-Poll-Interval, at most a
day). `filegate run collect_shop_orders --conf '{{"full": true}}'` reads everything again.

## From a database

```yaml
{database_example}```

`filegate source draft --connection source_crm --schema shop --table users --write` drafts the contract, with
the connection in `sources.env`. The connection has the type `postgres` or `mysql` (MariaDB too), host, port, login and
password; its schema is the database. Its extra may have `sslmode` (`disable`, `require`, `verify-ca`, `verify-full`),
`sslrootcert`, and `time_zone`: the zone of times without a zone (MySQL: DATETIME), if it is not the server's.

A run writes one Parquet file, or a message for each row. Values are exact: a number that no type can hold, a zero date,
a TIME of over 24 hours, `infinity` and BC arrive as the server's text, so that the contract refuses their rows; binary
values are lower-case hexadecimal digits. A table that has not changed gives the same file: the pipeline settles it as a
duplicate. Deleted rows are seen by a full read and `mode: snapshot` in the contract; an empty table delivers nothing.
Without a key a changed table is appended whole: the newest `_file_id` has its rows.

## From a bucket

```yaml
{bucket_example}```

The connection has the access key as login, the secret as password; host or `endpoint_url` of its extra is the store's
address (neither: AWS), `region_name` its region; `"config_kwargs": {{"s3": {{"addressing_style": "virtual"}}}}` is for
stores that want the bucket's name before theirs. Without a login requests are not signed.

Each version of an object, known by its ETag, is copied once to `incoming/<dataset>/<source>/<path behind the prefix>`;
a later version to `incoming/<dataset>/<source>/~2/<path>`. `ops.source_object` remembers what was copied, so objects
that arrive late are found, whatever their time. Empty objects and folder markers are skipped and counted. An object
that cannot be copied holds up no other; the run names it and ends red. Where the contract loads files in order, the
oldest object is copied first, and none overtakes one that a retry may copy.

## Keys

A path names members and list indices, separated by dots. Keys of a `type` without brackets are required.

"""


def page() -> str:
    """The page's Markdown: the steps, the examples, and tables of every key."""
    head = _HEAD.format(example=EXAMPLE, database_example=DATABASE_EXAMPLE, bucket_example=BUCKET_EXAMPLE)
    tables = {"database": database_keys(), "bucket": bucket_keys()}
    return head + _table(every_key()) + "".join(f"\n### Of a {kind}\n\n{_table(keys)}" for kind, keys in tables.items())


def _table(keys: Iterable[DefinitionKey]) -> str:
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for key in keys:
        if not key.choice:
            default = f"`{key.default}`" if key.default not in {"", REQUIRED} else key.default
            lines.append(f"| `{key.path}` | {default} | {cell(key.meaning)} |")
        elif key.path.endswith(".type"):
            lines.append(f"| `{key.path}: {key.choice}` |  | {cell(key.meaning)} |")
        else:  # in the line of its type
            lines[-1] = f"{lines[-1].removesuffix(' |')} {_of_choice(key)} |"
    return "\n".join(lines) + "\n"


def _of_choice(key: DefinitionKey) -> str:
    name, default = key.path.rpartition(".")[2], key.default
    note = {REQUIRED: "", "": " (optional)"}.get(default, f" (`{default}`)")
    return f"`{name}`{note}: {cell(key.meaning)}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

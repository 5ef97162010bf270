"""Writes docs/sources.md from the models of the definition: `python -m include.sources`."""

from __future__ import annotations

from pathlib import Path

from include.contracts.describe import cell
from include.sources.keys import REQUIRED, DefinitionKey, every_key

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
_HEAD = """\
# How-to: collect from a REST API

<!-- Generated: `python -m include.sources`. -->

The file `sources/<name>.yaml` describes a source; the DAG `collect_<name>` collects it. Records load like any file or
message: contract, quarantine, ledger.

1. Write the contract of the rows: [add a dataset](add-a-dataset.md). A column's `path` starts at the record; `^.`
   climbs to the answer (`^.station.name`); `_for_<name>` is a value of `forEach`, `_collected_at` the answer's time.
   The contract has no `recordPath`.
2. Write the definition:

```yaml
{example}```

3. Add the connection `source_shop` in Airflow, or as the variable `AIRFLOW_CONN_SOURCE_SHOP` in the file `sources.env`:
   its host is the address with scheme and path, its password the token or key. The definition holds no secret.
4. Run `filegate source check`: it names errors with place and remedy.
5. Unpause the DAG: a run starts.

Each request, and each combination of values of `forEach`, is an element: a task and a position of its own. If one
fails, the run names it and reads the others. A crash loads no row twice: the position is committed once the records
have arrived. `filegate sources` shows the last runs. `filegate run collect_shop_orders --conf '{{"full": true}}'` reads
everything again.

## Keys

A path names members and list indices, separated by dots. Keys of a `type` without brackets are required.

"""


def page() -> str:
    """The page's Markdown: the steps, one example, and a table of every key."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for key in every_key():
        if not key.choice:
            default = f"`{key.default}`" if key.default not in {"", REQUIRED} else key.default
            lines.append(f"| `{key.path}` | {default} | {cell(key.meaning)} |")
        elif key.path.endswith(".type"):
            lines.append(f"| `{key.path}: {key.choice}` |  | {cell(key.meaning)} |")
        else:  # in the line of its type
            lines[-1] = f"{lines[-1].removesuffix(' |')} {_of_choice(key)} |"
    return _HEAD.format(example=EXAMPLE) + "\n".join(lines) + "\n"


def _of_choice(key: DefinitionKey) -> str:
    name, default = key.path.rpartition(".")[2], key.default
    note = {REQUIRED: "", "": " (optional)"}.get(default, f" (`{default}`)")
    return f"`{name}`{note}: {cell(key.meaning)}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

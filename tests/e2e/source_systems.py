"""Systems of others as sources of a running platform: a MariaDB server, and an S3 server with a login of its own.

What belongs here: the servers, and for each its contract, definition and connection. What does not: what the DAGs make
of them (`test_sources`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.stores.object_store import ObjectStore
from local.services import bucket
from local.settings import REPOSITORY
from local.supervisor.platform import S3
from tests.integration.own_platform import own_platform
from tests.mariadb import LOGIN, PASSWORD, mariadb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.mariadb import MariaDb
    from tests.running_platform import Running

USERS, ORDERS = "shop_users", "partner_orders"

# A schedule whose next run is months away: what runs besides the first one is triggered by a test.
DEFINITIONS = {
    USERS: """\
name: shop_users
description: The users of the shop.
kind: database
connection: source_shop
schedule: '@yearly'
dataset: shop_users
deliver: file
schema: shop
table: users
incremental: {cursor: updated_at, overlap: 1h}
""",
    ORDERS: """\
name: partner_orders
description: What a partner exports.
kind: bucket
connection: source_partner
schedule: '@yearly'
dataset: partner_orders
deliver: file
bucket: exports
prefix: orders/
pattern: '2026/**/*.csv'
""",
}
ORDERS_CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: partner_orders
name: Orders of a partner
version: 1.0.0
status: active
description: {purpose: Orders as the partner exports them.}
team: {name: sales}
schema:
  - name: partner_orders
    properties:
      - {name: order_no, logicalType: string, primaryKey: true, required: true}
      - {name: amount, logicalType: number, physicalType: "numeric(12,2)"}
"""
# Two users are older than the overlap, and so is the one who is refused: a second run reads only Ada again.
TABLE = """\
CREATE TABLE users (
    id int PRIMARY KEY, name varchar(100) NOT NULL, born date, balance decimal(20,4),
    updated_at timestamp(6) NOT NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6)
);
INSERT INTO users VALUES
    (1, 'Zo\u00eb', '1990-02-03', 1234567890123456.0001, NOW(6) - INTERVAL 2 DAY),
    (2, 'Linus', NULL, -0.5, NOW(6) - INTERVAL 2 DAY),
    (3, 'Nil', '0000-00-00', 3, NOW(6) - INTERVAL 2 DAY),
    (4, 'Ada', '1915-12-10', 4, NOW(6))"""


@dataclass(frozen=True)
class Shop:
    """A MariaDB server with the table `users`, whose clock is not that of UTC."""

    server: MariaDb

    def run(self, text: str) -> str:
        """Run SQL as the owner, in a session that takes zero dates and shows times in UTC."""
        return self.server.run(f"SET sql_mode = ''; SET time_zone = '+00:00'; USE shop; {text}")

    @property
    def users(self) -> list[tuple[str | None, ...]]:
        """The users whose day of birth is a day, as text."""
        lines = self.run("SELECT * FROM users WHERE born IS NULL OR born > 0 ORDER BY id").splitlines()
        return [tuple(None if value == "NULL" else value for value in line.split("\t")) for line in lines]

    @property
    def connection(self) -> dict[str, Any]:
        return {"connection_id": "source_shop", "conn_type": "mysql", "host": "127.0.0.1", "port": self.server.port,
                "login": LOGIN, "password": PASSWORD, "schema": "shop"}  # fmt: skip


@dataclass(frozen=True)
class Partner:
    """The bucket `exports` of another S3 server."""

    objects: ObjectStore
    connection: dict[str, Any]

    def put(self, key: str, content: str) -> None:
        self.objects.put("exports", key, content.encode())


@contextmanager
def running_shop() -> Iterator[Shop]:
    folder = Path(tempfile.mkdtemp(prefix="mariadb-"))
    try:
        with mariadb(folder, "--default-time-zone=+09:00") as server:
            shop = Shop(server)
            shop.run(TABLE)
            yield shop
    finally:
        shutil.rmtree(folder)


@contextmanager
def running_partner() -> Iterator[Partner]:
    with own_platform((S3,)) as other:
        config = other.s3_config
        bucket.client(config).create_bucket(Bucket="exports")
        connection = {"connection_id": "source_partner", "conn_type": "aws", "login": config.access_key_id,
                      "password": config.secret_access_key.get_secret_value(),
                      "extra": json.dumps({"endpoint_url": config.endpoint_url})}  # fmt: skip
        partner = Partner(ObjectStore(config), connection)
        partner.put("orders/2026/01/orders.csv", "order_no,amount\nA1,1.50\nA2,2.50\n")
        partner.put("orders/2026/02/orders.csv", "order_no,amount\nB1,10.00\n")
        partner.put("orders/2026/02/notes.txt", "of another kind\n")
        partner.put("orders/2026/empty.csv", "")
        partner.put("orders/2025/orders.csv", "order_no,amount\nC1,3.00\n")
        partner.put("drafts/2026/01/orders.csv", "order_no,amount\nD1,4.00\n")
        yield partner


def drafted_contract(shop: Shop) -> str:
    """The contract that `filegate source draft` drafts of the table, activated, and with rows to refuse."""
    parts = {name: value for name, value in shop.connection.items() if name != "connection_id"}
    done = subprocess.run(
        [sys.executable, "-m", "include.cli", "source", "draft", "--connection", "source_shop", "--schema", "shop",
         "--table", "users", "--dataset", USERS],
        cwd=REPOSITORY, env=os.environ | {"AIRFLOW_CONN_SOURCE_SHOP": json.dumps(parts)}, capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = done.stdout.replace("status: draft ", "status: active ")
    return text.replace("errorBudget: {rows: 0, share: 0}", "errorBudget: none")


@contextmanager
def added(running: Running, shop: Shop, partner: Partner) -> Iterator[None]:
    """Add contracts, connections and definitions of both; take the latter two back at the end."""
    assert running.definitions is not None
    for dataset, contract in {USERS: drafted_contract(shop), ORDERS: ORDERS_CONTRACT}.items():
        (running.contracts / f"{dataset}.yaml").write_text(contract, encoding="utf-8")
    connections = [shop.connection, partner.connection]
    for connection in connections:
        running.airflow("connections", connection)
    files = [running.definitions / f"{name}.yaml" for name in DEFINITIONS]
    for file in files:
        file.write_text(DEFINITIONS[file.stem], encoding="utf-8")
    try:
        yield
    finally:
        for file in files:
            file.unlink()
        for connection in connections:
            running.airflow(f"connections/{connection['connection_id']}", method="DELETE")

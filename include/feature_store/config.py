"""Where the feature store is: two databases and one login.

What belongs here: names that several places must agree on. What does not: settings of the environment (`environment`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from include.settings import WarehouseConfig

# Part of the name of every online table: <project>_<view>.
PROJECT = "filegate"
# In the database of the feature store.
ONLINE_SCHEMA = "online"
# In the warehouse: Feast puts the entities of a question there, and drops them behind it.
SCRATCH_SCHEMA = "feast"
# The state of each view in the online store, written with its values.
STATE_TABLE = "materialized_view"
# An entity whose newest features are older has none.
TTL_DAYS = 2


@dataclass(frozen=True)
class FeatureStoreConfig:
    """How Feast reaches its stores, with the same role.

    Attributes:
        warehouse: the database with the schema `features`.
        store: the database of the registry and the online values.
    """

    warehouse: WarehouseConfig
    store: WarehouseConfig

    def variables(self) -> dict[str, str]:
        """The variables that feature_store.yaml names, as YAML. No file has the password."""
        store = self.store
        password = store.password.get_secret_value()
        host = f"[{store.host}]" if ":" in store.host else store.host
        login = f"{quote(store.user, safe='')}:{quote(password, safe='')}"
        values = {
            "HOST": store.host,
            "PORT": store.port,
            "USER": store.user,
            "PASSWORD": password,
            "DATABASE": store.database,
            "WAREHOUSE": self.warehouse.database,
            "REGISTRY": f"postgresql+psycopg://{login}@{host}:{store.port}/{store.database}",
        }
        return {f"FEATURE_STORE_{name}": json.dumps(value) for name, value in values.items()}

"""The store of a bucket source, from its Airflow connection, and the engine with Airflow's connections.

DAG files import this module, so the engine is imported when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from include.errors import Code, PermanentError
from include.orchestration.sources import is_stand_in, source_connection
from include.orchestration.stores import api_url, s3_config, warehouse_ingest_config
from include.settings import S3Config, ingest_settings

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from include.contracts.model import Contract
    from include.sources.bucket.definition import BucketSource
    from include.sources.run import CollectedElement
    from include.sources.runs import AirflowAttempt

_STYLES = ("path", "virtual", "auto")


def collect_from_bucket(
    source: BucketSource, contract: Contract, attempt: AirflowAttempt, *, full: bool
) -> CollectedElement:
    """Copy the new objects of a source to incoming/.

    Args:
        source: the definition.
        contract: of its dataset.
        attempt: of Airflow.
        full: copy all objects again. A retry goes on where the first try ended.
    """
    from include.sources.bucket.run import BucketTask, collect_objects
    from include.sources.elements import elements
    from include.sources.listing import Traffic
    from include.sources.run import SourceStores
    from include.stores.object_store import ObjectStore

    connection, settings = source_connection(source.connection, source.kind), ingest_settings()
    [element] = elements(source)
    traffic = Traffic(is_stand_in=is_stand_in(connection))
    stores = SourceStores(
        ObjectStore(s3_config()), warehouse_ingest_config(), settings.landing_bucket, settings.spool_dir
    )
    origin = ObjectStore(origin_config(connection))
    return collect_objects(BucketTask(source, contract, element, attempt, is_full=full), origin, traffic, stores)


def origin_config(connection: Connection) -> S3Config:
    """Return the S3 store of a source from its connection, of type aws or http.

    The login is the access key, the password its secret; without a login requests are not signed. The address is the
    host, or `endpoint_url` of the extra; without one it is AWS. `region_name` of the extra is the region, and
    `{"config_kwargs": {"s3": {"addressing_style": "virtual"}}}` puts the bucket's name before the store's.

    Raises:
        PermanentError: the extra holds something else, or the address holds a login.
    """
    extra = connection.extra_dejson
    endpoint = api_url(connection) or extra.get("endpoint_url") or None
    region = extra.get("region_name") or "us-east-1"
    if not isinstance(endpoint, str | None) or not isinstance(region, str) or "@" in (endpoint or ""):
        message = (
            f"The address of the connection {connection.conn_id} cannot be used. Write it as host, such as "
            "https://s3.example.org, without a login, and the region as region_name into the extra."
        )
        raise PermanentError(Code.SOURCE_REFUSED, message)
    return S3Config(
        endpoint_url=endpoint,
        access_key_id=connection.login or "",
        secret_access_key=SecretStr(connection.password or ""),
        region=region,
        addressing_style=_addressing_style(connection),
    )


def _addressing_style(connection: Connection) -> Any:
    style: Any = connection.extra_dejson
    for key in ("config_kwargs", "s3", "addressing_style"):
        style = style.get(key) if isinstance(style, dict) else None
    if style not in (None, *_STYLES):
        message = (
            f"addressing_style in the extra of the connection {connection.conn_id} must be {' or '.join(_STYLES)}."
        )
        raise PermanentError(Code.SOURCE_REFUSED, message)
    return style or _STYLES[0]

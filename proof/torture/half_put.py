"""An unfinished PUT: a part of the body is sent, and the connection stays open."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from local.services import bucket

if TYPE_CHECKING:
    from include.settings import S3Config

_SECONDS = 20


def begin_put(config: S3Config, name: str, key: str, body: bytes, sent: int) -> http.client.HTTPConnection:
    """Send the head and a part of the body of a PUT. The caller closes the connection.

    Args:
        config: of the object store.
        name: of the bucket.
        key: of the object.
        body: the whole body; its length is the Content-Length.
        sent: how many bytes of the body are sent.
    """
    client = bucket.client(config)
    url = urlsplit(client.generate_presigned_url("put_object", Params={"Bucket": name, "Key": key}))
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=_SECONDS)
    connection.putrequest("PUT", f"{url.path}?{url.query}")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    connection.send(body[:sent])
    return connection

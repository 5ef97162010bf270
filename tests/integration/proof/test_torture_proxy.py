"""The torture test's proxy on command: connections that pass, are reset, stalled, slowed or cut."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from proof.torture.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

_SECONDS = 30


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy in front of an echo server."""

    def serve(server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(client,), daemon=True).start()

    def echo(client: socket.socket) -> None:
        with client:
            try:
                while data := client.recv(65536):
                    client.sendall(data)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        with Proxy(server.getsockname()[1]) as proxy:
            yield proxy
        server.shutdown(socket.SHUT_RDWR)


@contextmanager
def connected(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=_SECONDS) as client:
        client.sendall(b"hello")
        assert received(client, 5) == b"hello"
        yield client


def received(client: socket.socket, most: int) -> bytes:
    """Receive so many bytes, or fewer if the connection ends."""
    found = b""
    while len(found) < most:
        try:
            data = client.recv(most - len(found))
        except ConnectionResetError:
            break
        if not data:
            break
        found += data
    return found


def test_everything_passes_without_a_fault(proxy: Proxy) -> None:
    body = bytes(range(256)) * 4096
    with connected(proxy) as client:
        sender = threading.Thread(target=client.sendall, args=(body,))
        sender.start()
        assert received(client, len(body)) == body
        sender.join()


def test_reset_ends_every_open_connection_with_a_reset_and_takes_new_ones(proxy: Proxy) -> None:
    with connected(proxy) as client, connected(proxy) as other:
        assert proxy.reset() == 2
        for one in (client, other):
            with pytest.raises(ConnectionResetError):
                one.recv(1)
    with connected(proxy):
        pass


def test_stalled_bytes_all_arrive_later(proxy: Proxy) -> None:
    with connected(proxy) as client:
        proxy.stall(on=True)
        client.settimeout(0.3)
        client.sendall(b"later")
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(_SECONDS)
        proxy.stall(on=False)
        assert received(client, 5) == b"later"


def test_dripping_bytes_all_arrive(proxy: Proxy) -> None:
    proxy.drip(on=True)
    with connected(proxy) as client:
        client.sendall(b"x" * 3_000)
        assert received(client, 3_000) == b"x" * 3_000


@pytest.mark.parametrize("towards", ["client", "store"])
def test_cut_passes_half_of_the_next_bytes_and_then_resets(proxy: Proxy, towards: str) -> None:
    with connected(proxy) as client:
        assert proxy.cut(towards) == 1
        assert proxy.armed == 1
        client.sendall(b"0123456789")
        assert len(received(client, 10)) <= 5
        assert proxy.armed == 0


def test_store_that_is_down_ends_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        unused_port = server.getsockname()[1]
    with Proxy(unused_port) as proxy, socket.create_connection(("127.0.0.1", proxy.port), timeout=_SECONDS) as client:
        assert received(client, 1) == b""

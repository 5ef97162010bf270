"""A TCP proxy between the platform's workers and one of their stores; it resets, stalls, slows or cuts connections.

What belongs here: bytes and sockets. It does not know the protocols, so a cut may be in the middle of a message.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future
    from types import TracebackType

_Answer = TypeVar("_Answer")

_CHUNK = 64 * 1024
_DRIP_BYTES, _DRIP_SECONDS = 512, 0.05
_CONNECT_SECONDS = 10
_STOP_SECONDS = 10
# SO_LINGER with 0 seconds: closing the socket sends a reset.
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(eq=False)
class _Pair:
    """One connection: the client's end and the store's."""

    client: asyncio.StreamWriter
    store: asyncio.StreamWriter
    cut: str = ""

    def reset(self) -> None:
        for writer in (self.client, self.store):
            with suppress(OSError):
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            writer.transport.abort()


class Proxy:
    """Listens on a port of the loopback interface while the context lasts, in a separate thread."""

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{target_port}", daemon=True)
        self._pairs: set[_Pair] = set()
        self._passing = asyncio.Event()
        self._dripping = False
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(self._listen()).result(_STOP_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._close()).result(_STOP_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_SECONDS)
        if not self._loop.is_running():
            self._loop.close()

    def reset(self) -> int:
        """Reset every open connection; return how many."""
        return self._run(self._reset()).result(_STOP_SECONDS)

    def stall(self, *, on: bool) -> None:
        """Stop or resume forwarding. New connections are accepted, and stall too."""
        self._loop.call_soon_threadsafe(self._passing.clear if on else self._passing.set)

    def drip(self, *, on: bool) -> None:
        """Forward a few hundred bytes at a time with pauses, or everything at once again."""
        self._dripping = on

    def cut(self, towards: str) -> int:
        """Cut each open connection in the middle of the next bytes towards `client` or `store`; return how many."""
        return self._run(self._arm(towards)).result(_STOP_SECONDS)

    @property
    def armed(self) -> int:
        """The number of open connections that are not cut yet."""
        return sum(bool(pair.cut) for pair in tuple(self._pairs))

    def _run(self, coroutine: Coroutine[Any, Any, _Answer]) -> Future[_Answer]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _listen(self) -> asyncio.Server:
        self._passing.set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])
        return server

    async def _close(self) -> None:
        self._server.close()
        await self._reset()
        self._passing.set()
        # The tasks end without being cancelled; asyncio would log a cancelled one.
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=_STOP_SECONDS / 2)

    async def _reset(self) -> int:
        pairs = list(self._pairs)
        for pair in pairs:
            pair.reset()
        return len(pairs)

    async def _arm(self, towards: str) -> int:
        for pair in self._pairs:
            pair.cut = towards
        return len(self._pairs)

    async def _serve(self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            store_reader, store = await asyncio.wait_for(
                asyncio.open_connection("127.0.0.1", self._target), _CONNECT_SECONDS
            )
        except (OSError, TimeoutError):
            client.transport.abort()
            return
        pair = _Pair(client, store)
        self._pairs.add(pair)
        pumps = [
            asyncio.ensure_future(self._pump(client_reader, store, pair, "store")),
            asyncio.ensure_future(self._pump(store_reader, client, pair, "client")),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pairs.discard(pair)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for writer in (client, store):
                writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pair: _Pair, towards: str
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._passing.wait()
                if pair.cut == towards:
                    pair.cut = ""
                    writer.write(data[: len(data) // 2])
                    await asyncio.sleep(_DRIP_SECONDS)  # so that the bytes are sent before the reset
                    pair.reset()
                    return
                await self._pass(writer, data)

    async def _pass(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        at = 0
        while at < len(data):
            step = _DRIP_BYTES if self._dripping else len(data)
            writer.write(data[at : at + step])
            await writer.drain()
            at += step
            if self._dripping:
                await asyncio.sleep(_DRIP_SECONDS)
                await self._passing.wait()

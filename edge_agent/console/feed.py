"""The agent's end of the line to the booth's page: a socket in the ledger's folder on which snapshots are written.

Whoever may read the folder may listen. Nothing is read from it. A listener that does not keep up is dropped; with none
a change costs the setting of a flag. Nothing in here can end the agent.
"""

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Never

# One page, a second one while it is restarted, and somebody who looks by hand.
MAX_LISTENERS = 4
# A snapshot has some kilobytes. What a listener has not taken by then is stale.
MAX_BUFFER = 256 * 1024
EVERY_S = 1.0  # also without a change: silence means that the agent is gone
LEAST_S = 0.2  # between two snapshots: people see no more
RETRY_S = 30.0
SOCKET = "console.sock"
# sun_path of unix(7), less its end.
MAX_PATH_BYTES = 107

log = logging.getLogger(__name__)


class Feed:
    """`changed` may be called at any time in the loop; `run` serves for ever."""

    def __init__(self, path: Path, snapshot: Callable[[], dict[str, Any]]) -> None:
        self._path, self._snapshot = path, snapshot
        self._listeners: set[asyncio.Transport] = set()
        self._news = asyncio.Event()

    @property
    def listeners(self) -> int:
        """How many there are."""
        return len(self._listeners)

    def changed(self) -> None:
        """The next snapshot differs."""
        self._news.set()

    async def run(self) -> Never:
        """Returns never and raises nothing but being cancelled."""
        while True:
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001 - the page may fail, the lane goes on
                log.warning("the booth's page cannot be told what the lanes do: %s", error)
            await asyncio.sleep(RETRY_S)

    async def _serve(self) -> None:
        self._path.unlink(missing_ok=True)  # of a run that was killed: the ledger's lock says that it is gone
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(str(self._path))
            self._path.chmod(0o600)
            server = await asyncio.get_running_loop().create_unix_server(
                lambda: _Listener(self._listeners), sock=listening
            )
        except BaseException:
            listening.close()
            raise
        try:
            while True:
                try:
                    async with asyncio.timeout(EVERY_S):
                        await self._news.wait()
                except TimeoutError:
                    pass
                self._news.clear()
                self._tell()
                await asyncio.sleep(LEAST_S)
        finally:
            server.close()
            for listener in list(self._listeners):
                listener.abort()
            self._path.unlink(missing_ok=True)

    def _tell(self) -> None:
        if not self._listeners:
            return
        line = json.dumps(self._snapshot(), separators=(",", ":")).encode() + b"\n"
        for listener in list(self._listeners):
            if listener.get_write_buffer_size() > MAX_BUFFER:
                listener.abort()
            else:
                listener.write(line)


class _Listener(asyncio.Protocol):
    def __init__(self, listeners: set[asyncio.Transport]) -> None:
        self._listeners = listeners

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a stream
        self._transport = transport
        if len(self._listeners) >= MAX_LISTENERS:
            transport.abort()
        else:
            self._listeners.add(transport)

    def data_received(self, data: bytes) -> None:
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._listeners.discard(self._transport)

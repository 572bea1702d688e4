"""The contract's cases of scanners: a folder that software writes into, DICOM, and one that pushes."""

import asyncio
import itertools
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from edge_agent.devices.sources import dicom_store, http_push, watched_folder
from edge_agent.domain.observation import Reading, ScanImage
from tests.contracts.source_cases import SourceCase
from tests.scanner import TOKEN, dicos, png, store

_SCANS = itertools.count(1)
RUBBISH = b"\x89PNG\r\n\x1a\n and then nothing that a picture has"


class FolderPeer:
    """`acknowledged` are the files that were put away."""

    def __init__(self, folder: Path, links: bool) -> None:
        self._directory = folder / "scans"
        self._directory.mkdir()
        self._away = folder / "unmounted"
        self._links = links
        self.settings = watched_folder.Settings(directory=self._directory, settle_s=0.1, poll_s=0.05, min_free_mb=0)

    @property
    def acknowledged(self) -> int:
        return len(list((self._directory / "done").glob("*.png")))

    async def say(self) -> bytes:
        number = next(_SCANS)
        data = png(30 + number % 20, 40)
        fresh = self._directory / f"S{number}.png.part"
        fresh.write_bytes(data)
        fresh.rename(self._directory / f"S{number}.png")
        return data

    async def garble(self, rubbish: bytes) -> None:
        name = f"R{next(_SCANS)}.png"
        if self._links:  # a thing that is no file, in place of one
            (self._directory / name).symlink_to("/etc/hostname")
        else:
            (self._directory / name).write_bytes(rubbish)

    async def vanish(self) -> None:
        self._directory.rename(self._away)

    async def come_back(self) -> None:
        self._away.rename(self._directory)


class DicomPeer:
    """A storage SCU by pynetdicom."""

    def __init__(self) -> None:
        self._port = free_port()
        self.settings = dicom_store.Settings(port=self._port, calling_ae_titles=("SCANNER",), answer_s=20)
        self.acknowledged = 0

    async def say(self) -> bytes:
        data_set = dicos(number=next(_SCANS))
        status = await asyncio.to_thread(store, self._port, data_set)
        self.acknowledged += status == 0x0000
        return bytes(data_set.PixelData)

    async def garble(self, rubbish: bytes) -> None:
        await raw(self._port, rubbish)

    async def vanish(self) -> None: ...

    async def come_back(self) -> None: ...


class HttpPeer:
    """A client by aiohttp."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        token = folder / "token"
        token.write_text(TOKEN)
        self.settings = http_push.Settings(port=self._port, token_file=token)
        self.acknowledged = 0

    async def say(self) -> bytes:
        number = next(_SCANS)
        data = png(30 + number % 20, 50)
        with suppress(aiohttp.ClientError, TimeoutError):
            async with (
                aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session,
                session.put(
                    f"http://127.0.0.1:{self._port}/scans/H{number}", data=data, timeout=aiohttp.ClientTimeout(20)
                ) as answer,
            ):
                self.acknowledged += answer.status in (200, 201)
        return data

    async def garble(self, rubbish: bytes) -> None:
        await raw(self._port, rubbish)

    async def vanish(self) -> None: ...

    async def come_back(self) -> None: ...


async def raw(port: int, data: bytes) -> bytes:
    """What the source answers to these bytes, until it closes or a second has gone by."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(1):
                return await reader.read()
        return b""
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


@asynccontextmanager
async def folder(tmp: Path) -> AsyncIterator[FolderPeer]:
    yield FolderPeer(Path(os.path.realpath(tmp)), links=False)


@asynccontextmanager
async def folder_with_links(tmp: Path) -> AsyncIterator[FolderPeer]:
    yield FolderPeer(Path(os.path.realpath(tmp)), links=True)


@asynccontextmanager
async def dicom(tmp: Path) -> AsyncIterator[DicomPeer]:
    yield DicomPeer()


@asynccontextmanager
async def http(tmp: Path) -> AsyncIterator[HttpPeer]:
    yield HttpPeer(tmp)


def is_good(reading: Reading) -> bool:
    return isinstance(reading.body, ScanImage) and reading.body.scan_id[0] in "SDH" and len(reading.evidence) == 2


CASES = (
    SourceCase("watched_folder", folder, is_good, acknowledges=True, listens=True, rubbish=(RUBBISH, b"\0" * 5000)),
    SourceCase("watched_folder", folder_with_links, is_good, "that goes away", acknowledges=True, rubbish=(b"",)),
    SourceCase("dicom_store", dicom, is_good, acknowledges=True, listens=True),
    SourceCase("http_push", http, is_good, acknowledges=True, listens=True),
)

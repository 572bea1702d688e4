"""Puts the page together: the ledger, read only, the agent's socket, and the server."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

from edge_agent.config_console import ConsoleSettings, ConsoleSetup
from edge_agent.console.board import Board
from edge_agent.console.feed import SOCKET
from edge_agent.console.guard import Doors
from edge_agent.console.listen import listen
from edge_agent.console.server import Access, Server
from edge_agent.console.tail import Records
from edge_agent.domain.clock import Clock, SystemClock
from edge_agent.domain.errors import SettingsInvalid, StoreFailed
from edge_agent.expectations.store import FOLDER, read_status
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.ledger.store import DATABASE


class _Stopped(Exception):
    """Asked to stop."""


async def serve(
    setup: ConsoleSetup, stop: asyncio.Event, say: Callable[[str], None], clock: Clock | None = None
) -> None:
    """Serve until `stop`; `say` is given the page's address. Raises SettingsInvalid when it cannot listen."""
    clock, settings = clock or SystemClock(), setup.settings
    host, port = settings.address

    def records() -> Records:
        if not (setup.ledger / DATABASE).exists():
            raise StoreFailed(f"{setup.ledger}: there is no ledger yet", "start the agent")
        return LedgerReader(setup.ledger)

    def expected() -> tuple[int | None, int | None]:
        held, count, confirmed_us = read_status(setup.ledger / FOLDER)
        told = held is not None and held.revision > 0
        return (count, confirmed_us) if told else (None, None)

    board = Board(setup.ledger, records, expected, clock)
    tls = None if settings.certificate is None else _tls(settings, setup.folder)
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[int] = loop.create_future()
    doors: set[str] = set()
    access = Access(
        Doors(doors, "http" if tls is None else "https"),
        None if settings.password_file is None else setup.folder / settings.password_file,
        settings.session_hours * 3600,
        settings.language,
        tls,
    )
    server = Server(board, access, clock, ZoneInfo(settings.time_zone), settings.time_zone)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(board.follow(), name="ledger")
            group.create_task(listen(setup.ledger / SOCKET, board.heard), name="agent")
            group.create_task(server.run(host, port, ready), name="page")
            group.create_task(_stop(stop), name="stop")
            port = await ready
            doors |= hosts(settings, port)
            shown = settings.names[0] if settings.names and not settings.is_loopback else _bracketed(host)
            say(f"{access.doors.scheme}://{shown}:{port}/")
    except* _Stopped:
        pass
    except* OSError as failed:
        error = failed.exceptions[0]
        raise SettingsInvalid(
            f"the page cannot listen on {settings.listen}: {error}", "free that port, or set another: console.listen"
        ) from None


def hosts(settings: ConsoleSettings, port: int) -> frozenset[str]:
    """What a browser may give as Host."""
    names = {*settings.names}
    if not settings.is_wildcard:
        names.add(_bracketed(settings.address[0]))
    if settings.is_loopback:
        names.add("localhost")
    usual = 80 if settings.certificate is None else 443
    return frozenset({f"{name}:{port}" for name in names} | (names if port == usual else set()))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _tls(settings: ConsoleSettings, folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(folder / str(settings.certificate), folder / str(settings.key))
        if settings.clients is not None:
            context.load_verify_locations(folder / settings.clients)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise SettingsInvalid(
            f"the page's certificate, key or `clients` cannot be used: {error}", "give PEM files that belong together"
        ) from None
    return context


async def _stop(stop: asyncio.Event) -> None:
    await stop.wait()
    raise _Stopped

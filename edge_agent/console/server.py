"""The page's server: answers, the live stream, and the log-in. Browsers are not trusted, whoever sits there."""

import asyncio
import json
import logging
import ssl
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import tzinfo
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiohttp import web

from edge_agent.console.board import Board
from edge_agent.console.connections import ANSWER_S, IDLE_S, REQUEST_S, Connections
from edge_agent.console.guard import HEADERS, Doors, Handler, Refusals, RefusedRequest, Sparingly
from edge_agent.console.page import THEMES, Choices, Page
from edge_agent.console.passwords import MOST, Hashed, PasswordInvalid
from edge_agent.console.sessions import Attempts, SessionFault, Sessions
from edge_agent.console.words import LANGUAGES
from edge_agent.domain.clock import Clock

MAX_FORM = 4096
MAX_STREAMS, MAX_STREAMS_FROM_ONE = 24, 12
# A browser learns by it that the line is whole; and how long it may take to take what it was sent.
BEAT_S, SLOW_S = 3.0, 10.0
# Between two renewals of one browser.
LEAST_S = 0.25
YEAR_S = 365 * 86_400

_FILES = {
    "/console.css": ("static/console.css", "text/css"),
    "/console.js": ("static/console.js", "text/javascript"),
    "/icon.svg": ("static/icon.svg", "image/svg+xml"),
}
_OPEN = (*_FILES, "/log-in", "/choose")  # without a session

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may look. `password`: its file, None where none is asked for; `tls` where the page is served over it."""

    doors: Doors
    password: Path | None
    session_s: float
    language: str
    tls: ssl.SSLContext | None = None


class Server:
    """Serves `board`. `zone` is of the times of day."""

    def __init__(self, board: Board, access: Access, clock: Clock, zone: tzinfo, zone_name: str) -> None:
        self._board, self._access, self._clock, self._zone = board, access, clock, zone
        self._page = Page(board, zone, zone_name)
        self._sessions = Sessions(access.session_s)
        self._attempts = Attempts()
        self._checking = asyncio.Semaphore(1)  # scrypt takes 32 MiB and a processor
        self._streams: Counter[str] = Counter()
        self._refusals = Refusals()
        self._ending = asyncio.Event()
        secure = access.tls is not None
        self._cookie = "__Host-console" if secure else "console"
        self._cookie_flags: dict[str, Any] = {"httponly": True, "samesite": "Strict", "path": "/", "secure": secure}
        self._connections: Connections | None = None

    async def run(self, host: str, port: int, ready: "asyncio.Future[int]") -> None:
        """Serves until cancelled; `ready` is given the port. Raises OSError when it cannot listen."""
        application = web.Application(client_max_size=MAX_FORM, middlewares=[self._guarded])
        application.router.add_get("/", self._whole)
        application.router.add_get("/vehicle/{id:[0-9a-f-]{36}}", self._whole)
        application.router.add_get("/evidence/{sha256:[0-9a-f]{64}}", self._evidence)
        application.router.add_get("/live", self._live)
        application.router.add_get("/session", self._session)
        application.router.add_get("/log-in", self._asked)
        application.router.add_post("/log-in", self._log_in)
        application.router.add_post("/log-out", self._log_out)
        application.router.add_post("/choose", self._choose)
        for path in _FILES:
            application.router.add_get(path, self._file)
        settings: dict[str, Any] = {
            "keepalive_timeout": IDLE_S,
            "lingering_time": 1.0,
            "max_line_size": 2048,
            "max_field_size": 4096,
            "max_headers": 64,
            "access_log": None,
            "logger": _http_log(),
        }
        runner = web.AppRunner(application, shutdown_timeout=0.2)
        await runner.setup()
        assert runner.server is not None  # noqa: S101 - it was set up
        self._connections = Connections(runner.server, settings)
        loop = asyncio.get_running_loop()
        tls: dict[str, Any] = {"ssl": self._access.tls}
        if self._access.tls is not None:
            tls["ssl_handshake_timeout"] = REQUEST_S
        try:
            listening = await loop.create_server(self._connections, host, port, backlog=32, **tls)
            try:
                ready.set_result(listening.sockets[0].getsockname()[1])
                await self._connections.watch()
            finally:
                listening.close()
        finally:
            self._ending.set()
            await runner.cleanup()

    # --- what every request passes ------------------------------------------------------------------------

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._allow(request, ANSWER_S)
        try:
            answer = await self._answer(request, handler)
        except web.HTTPException as refused:
            code = {404: RefusedRequest.NOT_FOUND, 405: RefusedRequest.METHOD, 413: RefusedRequest.TOO_LARGE}
            answer = self._refuse(request, code.get(refused.status, RefusedRequest.MALFORMED), refused.status)
        if not answer.prepared:
            for name, value in HEADERS.items():
                answer.headers.setdefault(name, value)
            if self._access.tls is not None:
                answer.headers["Strict-Transport-Security"] = f"max-age={YEAR_S}"
        return answer

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._access.doors.knows(request):
            return self._refuse(request, RefusedRequest.HOST_UNKNOWN, 421)
        if request.method not in ("GET", "HEAD") and not self._access.doors.is_own(request):
            return self._refuse(request, RefusedRequest.CROSS_SITE, 403)
        if self._access.password is not None and request.path not in _OPEN:
            fault = self._session_fault(request)
            if fault is not None:
                return self._unknown(request, fault)
        return await handler(request)

    def _allow(self, request: web.Request, seconds: float) -> None:
        if self._connections is not None:
            self._connections.allow(request, seconds)

    def _refuse(self, request: web.Request, code: RefusedRequest, status: int) -> web.Response:
        self._refusals.note(code, request)
        why = {
            RefusedRequest.HOST_UNKNOWN: "this page does not answer to that name; see `names` in docs/console.md",
            RefusedRequest.CROSS_SITE: "the request did not come from this page",
            RefusedRequest.BUSY: "too many live pages are open; close some",
        }.get(code, "there is nothing of that kind here")
        answer = _html(self._page.refused(self._choices(request), code, why), status)
        answer.force_close()
        return answer

    def _session_fault(self, request: web.Request) -> SessionFault | None:
        token = request.cookies.get(self._cookie)
        return self._sessions.check(token, self._clock.monotonic(), self._password_line())

    def _unknown(self, request: web.Request, fault: SessionFault) -> web.Response:
        if fault is not SessionFault.NONE:
            self._refusals.note(fault, request)
        notices = {SessionFault.UNKNOWN: "log_in.unknown", SessionFault.EXPIRED: "log_in.expired"}
        answer = _html(self._page.log_in(self._choices(request), notices.get(fault, "")), 401)
        answer.headers["X-Refused"] = fault
        if fault is not SessionFault.NONE and request.path not in ("/live", "/session"):
            answer.del_cookie(self._cookie, path="/")  # said once, to a person
        answer.force_close()
        return answer

    def _password_line(self) -> str:
        """What a session is bound to: a changed password ends those of before."""
        try:
            return Hashed.read(self._access.password).line() if self._access.password is not None else ""
        except PasswordInvalid:
            return ""

    def _choices(self, request: web.Request) -> Choices:
        language = request.cookies.get("language", "")
        if language not in LANGUAGES:
            language = _accepted(request.headers.get("Accept-Language", ""), self._access.language)
        theme = request.cookies.get("theme", "")
        return Choices(language, theme if theme in THEMES else "auto", request.cookies.get("keys") != "off")

    # --- answers --------------------------------------------------------------------------------------------

    async def _whole(self, request: web.Request) -> web.Response:
        leaves = self._access.password is not None
        return _html(self._page.whole(self._choices(request), request.match_info.get("id", ""), leaves=leaves))

    async def _file(self, request: web.Request) -> web.Response:
        name, media_type = _FILES[request.path]
        data = (files("edge_agent.console") / name).read_bytes()
        return web.Response(body=data, content_type=media_type, charset="utf-8", headers={"Cache-Control": "no-cache"})

    async def _evidence(self, request: web.Request) -> web.Response:
        found = await self._board.picture(bytes.fromhex(request.match_info["sha256"]))
        if found is None:
            raise web.HTTPNotFound
        data, media_type = found
        return web.Response(body=data, content_type=media_type)

    async def _session(self, _: web.Request) -> web.Response:
        return web.Response(status=204)

    async def _live(self, request: web.Request) -> web.StreamResponse:
        address = request.remote or ""
        if self._streams.total() >= MAX_STREAMS or self._streams[address] >= MAX_STREAMS_FROM_ONE:
            return self._refuse(request, RefusedRequest.BUSY, 503)
        self._streams[address] += 1
        answer = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream; charset=utf-8"})
        try:
            await self._stream(request, answer)
        except ConnectionError:
            pass  # the browser went, or took nothing for too long
        finally:
            self._streams[address] -= 1
            self._streams += Counter()  # forgets addresses of which none is left
        return answer

    async def _stream(self, request: web.Request, answer: web.StreamResponse) -> None:
        language, vehicle = self._choices(request).language, request.query.get("vehicle", "")[:36]
        self._allow(request, SLOW_S)
        await answer.prepare(request)
        await answer.write(b"retry: 2000\n\n")
        sent: dict[str, str] = {}
        version = -1
        while not self._ending.is_set():
            if self._access.password is not None and self._session_fault(request) is not None:
                break  # the browser asks again, and is shown the log-in
            now = self._page.panels(language, vehicle)
            changed = {name: html for name, html in now.items() if sent.get(name) != html}
            sent.update(changed)
            instant = self._clock.now().utc
            offset = instant.astimezone(self._zone).utcoffset()
            said = {
                "now": int(instant.timestamp() * 1000),
                "zone": 0 if offset is None else int(offset.total_seconds() * 1000),
                "panels": changed,
            }
            self._allow(request, SLOW_S)
            await answer.write(b"event: news\ndata: " + json.dumps(said).encode() + b"\n\n")
            version = self._board.version
            await asyncio.sleep(LEAST_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._board.changed(version)

    # --- what changes something -------------------------------------------------------------------------------

    async def _form(self, request: web.Request) -> dict[str, str]:
        self._allow(request, REQUEST_S)
        try:
            form = await request.post()
        except ValueError:
            raise web.HTTPBadRequest from None
        return {name: value for name, value in form.items() if isinstance(value, str)}

    async def _choose(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        back = form.get("back", "/")
        answer = web.Response(status=303, headers={"Location": back if _is_own_page(back) else "/"})
        for name, allowed in (("language", LANGUAGES), ("theme", THEMES), ("keys", ("on", "off"))):
            if form.get(name) in allowed:
                answer.set_cookie(name, form[name], max_age=YEAR_S, **self._cookie_flags)
        return answer

    async def _asked(self, request: web.Request) -> web.Response:
        if self._access.password is None:
            return web.Response(status=303, headers={"Location": "/"})
        return _html(self._page.log_in(self._choices(request)), 401)

    async def _log_in(self, request: web.Request) -> web.Response:
        if self._access.password is None:
            return web.Response(status=303, headers={"Location": "/"})
        form, choices, address = await self._form(request), self._choices(request), request.remote or ""
        wait = self._attempts.wait(address, self._clock.monotonic())
        if wait > 0:
            self._refusals.note("PASSWORD_RATE", request)
            seconds = int(wait) + 1
            answer = _html(self._page.log_in(choices, "log_in.wait", seconds=seconds), 429)
            answer.headers["Retry-After"] = str(seconds)
            return answer
        self._attempts.tried(address, self._clock.monotonic())
        try:
            hashed = Hashed.read(self._access.password)
        except PasswordInvalid as error:
            log.error("nobody can log in: %s", error)
            return _html(self._page.log_in(choices, "log_in.unset"), 503)
        async with self._checking:
            right = await asyncio.to_thread(hashed.is_of, form.get("password", "")[: MOST + 1])
        if not right:
            self._refusals.note("PASSWORD_WRONG", request)
            return _html(self._page.log_in(choices, "log_in.wrong"), 403)
        self._attempts.right(address)
        answer = web.Response(status=303, headers={"Location": "/"})
        token = self._sessions.begin(self._clock.monotonic(), hashed.line())
        answer.set_cookie(self._cookie, token, max_age=int(self._access.session_s), **self._cookie_flags)
        return answer

    async def _log_out(self, request: web.Request) -> web.Response:
        self._sessions.end(request.cookies.get(self._cookie))
        answer = web.Response(status=303, headers={"Location": "/log-in"})
        answer.del_cookie(self._cookie, path="/")
        return answer


def _http_log() -> logging.Logger:
    named = log.getChild("http")
    if not named.filters:
        named.addFilter(Sparingly())
    return named


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html")


def _is_own_page(path: str) -> bool:
    return path == "/" or (path.startswith("/vehicle/") and len(path) == 45 and path[9:].replace("-", "").isalnum())


def _accepted(header: str, default: str) -> str:
    """The first of our languages that the browser asks for."""
    wanted = (part.partition(";")[0].strip().lower()[:2] for part in header[:200].split(","))
    return next((language for language in wanted if language in LANGUAGES), default)

"""Scanners that push: a file by HTTP POST or PUT to /scans or /scans/{scan id}, with a bearer token.

    201  it is in the ledger          400  a header cannot be read, or the digest is not the body's
    200  it was there before          401  no token, or another          408  it came too slowly
    404, 405  another path, method    413  more than 64 MiB              415  no file: a form, compressed, text
    503  not in the ledger, as far as is known: try again after Retry-After

Every answer is a JSON object; an error has `error` and `remedy`. The token is compared in constant time, never logged.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pydantic import Field, ValidationInfo, field_validator

from edge_agent.devices.source import Emit
from edge_agent.devices.sources.intake import Intake, NotTaken, open_intake
from edge_agent.devices.sources.listening import ListenSettings
from edge_agent.devices.sources.places import Place, checks_files
from edge_agent.devices.sources.scan_file import MAX_FILE_BYTES, NOTHING, TEXT_MAX, Stated, clean
from edge_agent.devices.sources.scan_reading import File
from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import LinkDown, SettingsInvalid
from edge_agent.domain.observation import DeviceState, DeviceStatus, Reading

if TYPE_CHECKING:
    from aiohttp import web

TOKEN_MIN = 16
RETRY_AFTER_S = 10
# Files that are received at one time, each with up to 64 MiB in memory.
RECEIVING = 2
_TYPES = frozenset({
    "application/octet-stream", "application/dicom", "application/dicos", "application/x-uff", "image/tiff",
    "image/png", "image/jpeg",
})  # fmt: skip
_EXTENSIONS = {"application/x-uff": ".uff"}
_DIGEST = re.compile(r"\bsha-256=:([A-Za-z0-9+/=]{44}):")

log = logging.getLogger(__name__)


class Settings(ListenSettings):
    """Where the agent listens, for whom, and how long it waits."""

    port: int = Field(ge=0, le=65_535, description="0: any that is free, for tests")
    token_file: Place = Field(description="a file with the token, at least 16 characters on one line")
    max_connections: int = Field(default=8, ge=1, le=100)
    idle_s: float = Field(default=10.0, gt=0, le=600, description="how long a connection may take for a request's head")
    receive_s: float = Field(default=120.0, gt=0, le=3600, description="how long a file may take to come")
    answer_s: float = Field(default=30.0, gt=0, le=600, description="how long the ledger may take, then 503")

    @field_validator("token_file")
    @classmethod
    def _holds_a_token(cls, path: Path, info: ValidationInfo) -> Path:
        if checks_files(info):
            try:
                _token(path)
            except LinkDown as error:
                raise ValueError(f"{error.wrong}: {error.remedy}") from None
        return path


class HttpPush:
    """The source: a server with one purpose."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    async def run(self, emit: Emit) -> None:
        """Raises LinkDown when the address is taken, or a file of the settings cannot be used; SettingsInvalid."""
        try:
            from edge_agent.devices.sources import http_server
        except ImportError as error:
            raise SettingsInvalid(f"{error.name} is not installed", "pip install 'edge-agent[booth]'") from None
        settings = self._settings
        token = _token(settings.token_file)
        context = settings.context()
        async with open_intake(settings, self._clock, emit, settings.answer_s) as intake:
            handler = _Handler(settings, token, intake)
            async with http_server.listening(handler.handle, settings, context) as where:
                how = f"listens on {where}"
                await emit(Reading(DeviceStatus(DeviceState.WAITING, how), self._clock.monotonic()))
                try:
                    await asyncio.shield(intake.failed)
                finally:
                    intake.stop()


def _token(path: Path) -> bytes:
    try:
        token = path.read_bytes().strip()
    except OSError as error:
        raise LinkDown(
            f"the token's file {path} cannot be read: {error.strerror}", "write the token into it, on one line"
        ) from None
    if len(token) < TOKEN_MIN or not re.fullmatch(rb"[!-~]+", token):
        raise LinkDown(
            f"the token in {path} is not {TOKEN_MIN} or more printable characters on one line",
            "make one: `openssl rand -hex 32`",
        )
    return token


class _Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, error: str, remedy: str, **headers: str) -> None:
        super().__init__(error)
        self.status, self.error, self.remedy = status, error, remedy
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class _Handler:
    """One request after the other of each connection."""

    def __init__(self, settings: Settings, token: bytes, intake: Intake) -> None:
        self._settings = settings
        self._token = token
        self._intake = intake
        self._receiving = 0

    async def handle(self, request: "web.BaseRequest") -> "web.StreamResponse":
        """Answers. What is wrong is found before the body is asked for, as far as the head tells it."""
        from aiohttp import web

        try:
            self._check_head(request)
            file, stated = _said(request)
            if self._receiving >= RECEIVING:
                raise _busy("too many files are being received")
            self._receiving += 1
            try:
                data = await self._body(request)
            finally:
                self._receiving -= 1
            _check_digest(request, data)
            taken = await self._intake.take(File(file, data), stated)
        except NotTaken as reason:
            refusal = _busy(str(reason))
        except _Refusal as raised:
            refusal = raised
        else:
            status = 200 if taken.repeated else 201
            body = {"sha256": taken.sha256, "bytes": len(data), "repeated": taken.repeated}
            return web.json_response(body, status=status)
        log.info("a push from %s is refused: %d, %s", request.remote, refusal.status, refusal.error)
        answer = web.json_response(
            {"error": refusal.error, "remedy": refusal.remedy}, status=refusal.status, headers=refusal.headers
        )
        answer.force_close()  # its body may still be under way
        return answer

    def _check_head(self, request: "web.BaseRequest") -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token.strip().encode("utf-8", "replace")
        if not hmac.compare_digest(given, self._token) or scheme.lower() != "bearer":
            raise _Refusal(
                401, "the token is missing or wrong", "send Authorization: Bearer …", WWW_Authenticate="Bearer"
            )
        parts = PurePosixPath(request.path).parts
        if parts[:2] != ("/", "scans") or len(parts) > 3:
            raise _Refusal(404, "there is nothing here", "send the file to /scans or /scans/{scan id}")
        if request.method not in ("POST", "PUT"):
            raise _Refusal(405, "files are sent by POST or PUT", "use one of them", Allow="POST, PUT")
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise _Refusal(415, "a compressed body is not opened", "send the file as it is")
        if request.content_type not in _TYPES:
            raise _Refusal(
                415,
                f"{clean(request.content_type, TEXT_MAX)} is not taken",
                "send the file itself as the body, as application/octet-stream: curl -T FILE",
            )
        if request.content_length is not None and request.content_length > MAX_FILE_BYTES:
            raise _too_large()
        if request.content_length == 0:
            raise _Refusal(400, "the body is empty", "send the file as the body")

    async def _body(self, request: "web.BaseRequest") -> bytes:
        from aiohttp import ClientPayloadError, web

        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.receive_s):
                if request.headers.get("Expect", "").lower() == "100-continue":
                    await _go_on(request)
                async for chunk in request.content.iter_chunked(64 * 1024):
                    body += chunk
                    if len(body) > MAX_FILE_BYTES:
                        raise _too_large()
        except TimeoutError:
            raise _Refusal(
                408,
                f"the file did not come within {self._settings.receive_s:g} s",
                "check the network, or set `receive_s`",
            ) from None
        except (web.RequestPayloadError, ClientPayloadError) as error:
            raise _Refusal(
                400, f"the body ended before its end: {clean(str(error), TEXT_MAX)}", "send it again"
            ) from None
        if not body:
            raise _Refusal(400, "the body is empty", "send the file as the body")
        return bytes(body)


async def _go_on(request: "web.BaseRequest") -> None:
    """RFC 9110 10.1.1: the client waits for this before it sends the body."""
    if request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _said(request: "web.BaseRequest") -> tuple[str, Stated]:
    """The file's name and what is stated of the scan, in the path, the query or headers."""

    def check(what: str, value: str) -> str:
        if len(value) > TEXT_MAX or not value.isprintable():
            raise _Refusal(400, f"{what} is no text of at most {TEXT_MAX} characters", "shorten it")
        return value

    def said(query: str, header: str) -> str:
        return check(query, request.query.get(query, "") or request.headers.get(header, ""))

    parts = PurePosixPath(request.path).parts
    scan = said("scan", "X-Scan-Id") or check("scan", parts[2] if len(parts) == 3 else "")
    stated = NOTHING.or_else(Stated(scan, said("vehicle", "X-Vehicle-Number"), said("taken", "X-Taken-At")))
    name = PurePosixPath(said("name", "X-File-Name")).name
    return name or f"{scan or 'scan'}{_EXTENSIONS.get(request.content_type, '')}", stated


def _check_digest(request: "web.BaseRequest", data: bytes) -> None:
    """RFC 9530, where the scanner sends it."""
    found = _DIGEST.search(request.headers.get("Content-Digest", ""))
    if not found:
        return
    try:
        stated = base64.b64decode(found[1], validate=True)
    except binascii.Error:
        stated = b""
    if stated != hashlib.sha256(data).digest():
        raise _Refusal(400, "the body's SHA-256 is not the one in Content-Digest", "send it again")


def _too_large() -> _Refusal:
    limit = f"a file has at most {MAX_FILE_BYTES >> 20} MiB"
    return _Refusal(413, limit, "keep it at the scanner; the ledger takes no larger evidence")


def _busy(why: str) -> _Refusal:
    return _Refusal(503, why, "keep the file and send it again later", Retry_After=str(RETRY_AFTER_S))

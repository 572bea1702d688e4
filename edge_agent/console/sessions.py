"""Who may look: sessions that were given out for the password, and how often it may be tried. Time is given in."""

import hashlib
import ipaddress
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum

# One a browser; beyond it the oldest ends.
MAX_SESSIONS = 64
# Wrong passwords: so many at once from one address, then one each so many seconds; and of all addresses together.
TRIES, TRY_S = 5, 30.0
ALL_TRIES, ALL_TRY_S = 30, 2.0
MAX_ADDRESSES = 512


class SessionFault(StrEnum):
    """Why a request's session does not count."""

    NONE = "SESSION_NONE"  # the request carries none
    UNKNOWN = "SESSION_UNKNOWN"  # not one that was given out: forged, or of before the last start
    EXPIRED = "SESSION_EXPIRED"  # its time is over, or the password has been changed since


@dataclass(frozen=True, slots=True)
class _Session:
    until: float
    password: str


class Sessions:
    """Given out for `length_s` seconds. Tokens are random (256 bits); only their hashes are kept."""

    def __init__(self, length_s: float) -> None:
        self._length_s = length_s
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()
        self._ended: OrderedDict[bytes, None] = OrderedDict()

    def begin(self, now: float, password: str) -> str:
        """A new session's token. `password` is what stands in the password's file."""
        token = secrets.token_urlsafe(32)
        self._sessions[_hash(token)] = _Session(now + self._length_s, password)
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return token

    def check(self, token: str | None, now: float, password: str) -> SessionFault | None:
        """None: it counts."""
        if token is None:
            return SessionFault.NONE
        key = _hash(token)
        session = self._sessions.get(key)
        if session is None:
            return SessionFault.EXPIRED if key in self._ended else SessionFault.UNKNOWN
        if now >= session.until or session.password != password:
            self._end(key)
            return SessionFault.EXPIRED
        return None

    def end(self, token: str | None) -> None:
        """It counts no more."""
        if token is not None and _hash(token) in self._sessions:
            self._end(_hash(token))

    def _end(self, key: bytes) -> None:
        del self._sessions[key]
        self._ended[key] = None
        while len(self._ended) > MAX_SESSIONS:
            self._ended.popitem(last=False)


class Attempts:
    """Tokens in a bucket for each address, and in one for all. An IPv6 address counts by its /64."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._all = (float(ALL_TRIES), 0.0)

    def wait(self, address: str, now: float) -> float:
        """Seconds until the next try may be made; 0: now."""
        left, at = self._addresses.get(_network(address), (float(TRIES), now))
        return max(_wait(left, at, now, TRIES, TRY_S), _wait(*self._all, now, ALL_TRIES, ALL_TRY_S))

    def tried(self, address: str, now: float) -> None:
        """Count one, before it is known whether it is right: tries in parallel count too."""
        key = _network(address)
        self._addresses[key] = _taken(self._addresses.pop(key, (float(TRIES), now)), now, TRIES, TRY_S)
        self._all = _taken(self._all, now, ALL_TRIES, ALL_TRY_S)
        while len(self._addresses) > MAX_ADDRESSES:
            self._addresses.popitem(last=False)

    def right(self, address: str) -> None:
        """It was the password: what was tried before is forgiven."""
        self._addresses.pop(_network(address), None)


def _wait(left: float, at: float, now: float, most: int, every_s: float) -> float:
    have = min(most, left + (now - at) / every_s)
    return 0.0 if have >= 1 else (1 - have) * every_s


def _taken(bucket: tuple[float, float], now: float, most: int, every_s: float) -> tuple[float, float]:
    left, at = bucket
    return max(0.0, min(most, left + (now - at) / every_s) - 1), now


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()

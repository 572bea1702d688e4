"""A conversation over a link in memory: time is stepped by the script, nothing waits."""

import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Self

import pytest
from pydantic import BaseModel

from edge_agent.devices.catalogue import CATALOGUE, Driver
from edge_agent.devices.link import LinkSettings
from edge_agent.devices.talk import talk
from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.errors import LinkDown
from edge_agent.domain.observation import DeviceStatus, Malformed, Opaque, Reading

PORT = LinkSettings(url="/dev/serial/by-id/x")
NETWORK = LinkSettings(url="socket://192.0.2.1:1600")
DOWN = LinkDown("the link was lost")
BACKGROUND = b"GB,000379,000371,000407,000371\r\n"

Step = tuple[float, bytes | LinkDown]


class SteppedClock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> Instant:
        return Instant(datetime(2030, 1, 1, tzinfo=UTC), round(self.seconds * 1e9), ClockState.UNKNOWN)


class ScriptOver(Exception):
    """The test's script has come to its end."""


class Booth:
    """Connections as scripts: each a list of (seconds later, bytes or the end), or a LinkDown on opening."""

    def __init__(self, link: LinkSettings, *connections: Sequence[Step] | LinkDown) -> None:
        self.link = link
        self.connections = list(connections)
        self.clock = SteppedClock()
        self.readings: list[Reading] = []
        self.delays: list[tuple[float, float]] = []
        self.sent: list[bytes] = []
        self.open_links = 0
        self.busy = False  # the loop comes to a deadline only when the next bytes are there too

    async def emit(self, reading: Reading) -> None:
        self.readings.append(reading)

    def uniform(self, low: float, high: float) -> float:
        self.delays.append((low, high))
        return high

    async def sleep(self, seconds: float) -> None:
        self.clock.seconds += seconds

    def open_link(self, settings: LinkSettings, baud: int, clock: object) -> "ScriptedLink":
        assert settings is self.link
        assert baud == 9600
        assert clock is self.clock
        return ScriptedLink(self)

    async def talks(self, driver: Driver = CATALOGUE["rapiscan_vm250"], settings: BaseModel | None = None) -> None:
        await talk(
            "rpm",
            driver,
            settings or driver.settings(),
            self.link,
            self.emit,
            self.clock,
            open_link=self.open_link,
            uniform=self.uniform,
            sleep=self.sleep,
        )

    async def until_over(self, driver: Driver = CATALOGUE["rapiscan_vm250"]) -> None:
        with pytest.raises(ScriptOver):
            await self.talks(driver)

    @property
    def states(self) -> list[tuple[float, str]]:
        return [(r.at - 1000.0, r.body.state) for r in self.readings if isinstance(r.body, DeviceStatus)]


class ScriptedLink:
    def __init__(self, booth: Booth) -> None:
        self.booth = booth

    async def __aenter__(self) -> Self:
        assert self.booth.open_links == 0, "opened again before it was closed"
        if not self.booth.connections:
            raise ScriptOver
        script = self.booth.connections.pop(0)
        if isinstance(script, LinkDown):
            raise script
        self.booth.open_links += 1
        at = self.booth.clock.seconds
        self.steps = [(at := at + later, what) for later, what in script]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.booth.open_links -= 1

    async def receive(self, timeout: float | None) -> tuple[bytes, float] | None:
        clock = self.booth.clock
        due = math.inf if timeout is None else clock.seconds + timeout
        if not self.steps and due == math.inf:
            raise ScriptOver
        if not self.steps or (self.steps[0][0] > due and not self.booth.busy):
            clock.seconds = due
            return None
        clock.seconds, what = self.steps.pop(0)
        if isinstance(what, LinkDown):
            raise what
        return what, clock.seconds

    def send(self, data: bytes) -> None:
        self.booth.sent.append(data)


async def test_states_of_a_local_port() -> None:
    booth = Booth(PORT, [(1, BACKGROUND), (5, BACKGROUND), (40, BACKGROUND), (1, DOWN)], DOWN, [(1, BACKGROUND)])
    await booth.until_over()
    assert booth.states == [
        (0, "waiting"),
        (1, "online"),
        (21, "waiting"),  # 15 s after the last message; a local port stays open
        (46, "online"),
        (47, "offline"),
        (51, "online"),  # back-off of 1 and 2 s, then the first word
        (66, "waiting"),
    ]
    assert booth.open_links == 0


async def test_a_silent_network_link_is_opened_anew_and_a_silent_port_is_not() -> None:
    booth = Booth(NETWORK, [(1, BACKGROUND), (100, BACKGROUND)], [(100, BACKGROUND)], [(3, BACKGROUND)])
    await booth.until_over()
    assert booth.states == [(0, "waiting"), (1, "online"), (16, "waiting"), (34, "online"), (49, "waiting")]
    assert booth.delays == [], "it is not known to be down"


async def test_a_device_that_speaks_only_when_used_is_never_silent() -> None:
    booth = Booth(NETWORK, [(1e6, b"]C0HQ0012345\r"), (1e6, b"]C0HQ0012345\r")])
    await booth.until_over(CATALOGUE["barcode_scanner"])
    assert booth.states == [(0, "waiting"), (1e6, "online")]


async def test_garbage_is_kept_and_never_online_and_never_reopens() -> None:
    booth = Booth(NETWORK, [(5, b"\xfe\xfe\r\n")] * 1 + [(5, b"\xfe\xfe\r\n")] * 9 + [(5, BACKGROUND)])
    await booth.until_over()
    assert booth.states == [(0, "waiting"), (55, "online"), (70, "waiting")]
    assert sum(isinstance(r.body, Malformed) for r in booth.readings) == 10


async def test_silence_of_messages_amid_garbage_is_told() -> None:
    booth = Booth(NETWORK, [(1, BACKGROUND)] + [(5.0, b"\xfe\r\n")] * 4 + [(1, DOWN)])
    await booth.until_over()
    assert booth.states[:3] == [(0, "waiting"), (1, "online"), (16, "waiting")]


async def test_back_off_grows_with_full_jitter_and_starts_anew_after_data() -> None:
    flap: list[Step] = [(0, DOWN)]
    booth = Booth(NETWORK, *[DOWN] * 7, flap, [(1, BACKGROUND), (1, DOWN)], DOWN)
    await booth.until_over()
    assert booth.delays == [(0, high) for high in (1, 2, 4, 8, 16, 30, 30, 30, 1, 2)]
    assert [state for _, state in booth.states] == ["offline", "online", "offline"], "told at changes only"


async def test_a_link_that_was_lost_is_back_when_it_holds() -> None:
    booth = Booth(PORT, DOWN, [(1.9, DOWN)], [(2.1, DOWN)])
    await booth.until_over()
    assert [state for _, state in booth.states] == ["offline", "waiting", "offline"]


async def test_what_was_not_whole_at_the_end_is_kept_and_the_next_connection_starts_clean() -> None:
    booth = Booth(PORT, [(1, b"GB,0003"), (1, DOWN)], [(1, b"79,000371\r\n")])
    await booth.until_over()
    kept = [(r.body, r.raw) for r in booth.readings if isinstance(r.body, Malformed)]
    assert kept[0] == (Malformed("a line without its end"), b"GB,0003")
    assert kept[1][1] == b"79,000371\r\n"


async def test_an_unfinished_message_is_given_up_in_time() -> None:
    booth = Booth(PORT, [(1, b"SE"), (0.2, b"AL"), (3, b"]C0HQ0012345\r")])
    await booth.until_over(CATALOGUE["barcode_scanner"])
    assert [(round(r.at - 1000, 3), r.raw) for r in booth.readings if r.raw] == [
        (1.2, b"SEAL"),
        (4.2, b"]C0HQ0012345\r"),
    ]


async def test_a_deadline_comes_before_the_bytes_that_came_after_it() -> None:
    booth = Booth(PORT, [(1, b"SE"), (3, b"]C0HQ0012345\r"), (0, DOWN)])
    booth.busy = True
    await booth.until_over(CATALOGUE["barcode_scanner"])
    assert [r.raw for r in booth.readings if r.raw] == [b"SE", b"]C0HQ0012345\r"]


class Asking:
    """A driver that polls every 2 s, and breaks on b'!'."""

    def __init__(self, settings: BaseModel) -> None:
        self.wake: float | None = None
        self.out = b""

    def opened(self, now: float) -> None:
        self.wake, self.out = now + 2, b"hello"

    def received(self, data: bytes, now: float) -> Iterable[Reading]:
        for byte in data:
            if byte == ord("!"):
                raise KeyError("no such answer")
            yield Reading(Opaque("x", ()), now, bytes([byte]))

    def next_wake(self) -> float | None:
        return self.wake

    def woke(self, now: float) -> Iterable[Reading]:
        self.wake, self.out = now + 2, b"?"
        return ()

    def to_send(self) -> bytes:
        out, self.out = self.out, b""
        return out


class Settings(BaseModel):
    pass


ASKING = replace(CATALOGUE["barcode_scanner"], name="asking", settings=Settings, dialogue=Asking, silence_s=60)


async def test_polls_are_sent_when_due() -> None:
    booth = Booth(PORT, [(5, b"a"), (0, DOWN)])
    await booth.until_over(ASKING)
    assert booth.sent == [b"hello", b"?", b"?"]


async def test_a_driver_that_raises_fails_its_device_and_ends_quietly() -> None:
    booth = Booth(PORT, [(1, b"a"), (1, b"b!")])
    await booth.talks(ASKING)
    assert booth.states == [(0, "waiting"), (1, "online"), (2, "failed")]
    *_, bad, status = booth.readings
    assert bad.raw == b"b!", "what it raised on is kept"
    assert isinstance(status.body, DeviceStatus)
    assert "the driver asking raised KeyError: 'no such answer'" in status.body.detail
    assert booth.open_links == 0


async def test_a_driver_that_cannot_begin_fails_too() -> None:
    booth = Booth(PORT, [])
    await booth.talks(ASKING, CATALOGUE["barcode_scanner"].settings())
    assert booth.states == [(0, "failed")]


class Threads(Asking):
    """Says whether it was asked in the loop's own thread."""

    def received(self, data: bytes, now: float) -> Iterable[Reading]:
        for reading in super().received(data, now):
            yield replace(reading, body=Opaque(str(threading.current_thread() is threading.main_thread()), ()))


async def test_what_takes_long_is_read_in_a_thread_and_in_order() -> None:
    booth = Booth(PORT, [(1, b"a"), (0, b"b\x03"), (0, b"c"), (0, b"\x04d"), (0, b"!\x03")])
    await booth.talks(replace(ASKING, dialogue=Threads, slow_at=b"\x03\x04"))
    said = [(r.raw, r.body.tag) for r in booth.readings if isinstance(r.body, Opaque)]
    assert said == [
        (b"a", "True"), (b"b", "False"), (b"\x03", "False"), (b"c", "True"), (b"\x04", "False"), (b"d", "False"),
    ]  # fmt: skip
    assert booth.states[-1][1] == "failed"
    assert CATALOGUE["spectroscopic_n42"].slow_at == b"\x03"


async def test_what_the_line_raises_goes_through() -> None:
    class DiskFull(Exception):
        pass

    class FullBooth(Booth):
        async def emit(self, reading: Reading) -> None:
            raise DiskFull

    with pytest.raises(DiskFull):
        await FullBooth(PORT, []).talks()

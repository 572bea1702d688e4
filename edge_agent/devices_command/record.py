"""Records what goes over a device's link, both ways, while its driver holds the conversation."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from edge_agent.config import Device
from edge_agent.devices.capture_file import CaptureWriter, Header
from edge_agent.devices.catalogue import Driver
from edge_agent.devices.link import LinkSettings, SerialLink
from edge_agent.devices_command.booth import listen
from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import LinkDown, SettingsInvalid
from edge_agent.domain.observation import DeviceStatus, Malformed, Reading


class Recorded:
    """What a recording came to."""

    def __init__(self) -> None:
        self.messages = 0
        self.malformed = 0
        self.received = 0
        self.last_state = ""
        self.why = ""


class _TappedLink:
    """A link whose bytes are written down as they pass."""

    def __init__(self, link: SerialLink, clock: Clock, writer: CaptureWriter, received: Callable[[], None]) -> None:
        self._link = link
        self._clock = clock
        self._writer = writer
        self._received = received

    async def __aenter__(self) -> Self:
        await self._link.__aenter__()
        self._writer.event("opened", self._clock.monotonic())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._link.__aexit__(kind, error, trace)

    async def receive(self, timeout: float | None) -> tuple[bytes, float] | None:
        try:
            chunk = await self._link.receive(timeout)
        except LinkDown as down:
            self._writer.event("lost", self._clock.monotonic(), why=down.wrong)
            raise
        if chunk is not None:
            self._writer.event("rx", chunk[1], chunk[0])
            self._received()
        return chunk

    def send(self, data: bytes) -> None:
        self._writer.event("tx", self._clock.monotonic(), data)
        self._link.send(data)


async def record(
    device: Device, path: Path, clock: Clock, seconds: float, most_bytes: int, stop: asyncio.Event
) -> Recorded:
    """Records until `seconds` are over, `most_bytes` came, or `stop` is set.

    Raises SettingsInvalid if the device has no byte stream or the file exists, StoreFull if it cannot be written.
    """
    link, driver = device.config.link, device.driver
    if link is None or not isinstance(driver, Driver):
        raise SettingsInvalid(
            f"{device.config.id} has no byte stream: {driver.name} speaks through a library of its own",
            "watch it with `edge-agent devices monitor`",
        )
    now = clock.now()
    filled = link.model_copy(update={"baud": link.baud or driver.baud})
    header = Header(
        device=device.config.id,
        driver=driver.name,
        settings=device.settings.model_dump(mode="json"),
        link=filled.model_dump(mode="json"),
        started=now.utc,
    )
    recorded = Recorded()
    with CaptureWriter(path, header, now.monotonic) as writer:

        async def emit(reading: Reading) -> None:
            if isinstance(reading.body, DeviceStatus):
                recorded.last_state = f"{reading.body.state}: {reading.body.detail}"
            elif isinstance(reading.body, Malformed):
                recorded.malformed += 1
            else:
                recorded.messages += 1

        def received() -> None:
            if writer.received >= most_bytes:
                stop.set()

        def tapped(settings: LinkSettings, baud: int, clock: Clock) -> _TappedLink:
            return _TappedLink(SerialLink(settings, baud, clock), clock, writer, received)

        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(listen(device, emit, clock, seconds, tapped), name="capture")
            stopping = tasks.create_task(stop.wait(), name="stop a capture")
            await asyncio.wait([listening, stopping], return_when=asyncio.FIRST_COMPLETED)
            recorded.why = _why(writer, seconds, most_bytes, stopping.done())
            listening.cancel()
            stopping.cancel()
        writer.event("end", clock.monotonic(), why=recorded.why)
        recorded.received = writer.received
    return recorded


def _why(writer: CaptureWriter, seconds: float, most_bytes: int, stopped: bool) -> str:
    if not stopped:
        return f"{seconds:g} s are over"
    return f"{most_bytes} bytes are recorded" if writer.received >= most_bytes else "stopped"

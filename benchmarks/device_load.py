"""The devices of benchmarks/devices.py: portals on TCP, scanners and scales on pseudo-terminals, in one process.

Says its URLs on standard output as JSON, begins when it reads a line, and at the end writes a JSON object to standard
output: for every message that an event follows from, when it was sent, in seconds of the machine's monotonic clock.
It ends with its standard input.
"""

import asyncio
import json
import os
import sys
import time
import tty
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

PORTALS, SCANNERS, SCALES = 16, 16, 4
GAMMA_S = 0.2
OCCUPIED_S, EMPTY_S = 5.0, 2.0
SCANS_PER_S = 4.0  # seals of no vehicle get an event each up to 256 a minute (inspection/strays.py)
FRAMES_PER_S = 20.0

Say = Callable[[bytes], None]


@dataclass
class Load:
    """What was sent, and when."""

    sent: dict[str, float] = field(default_factory=dict)
    messages: int = 0

    def say(self, out: Say, message: bytes, key: str = "") -> None:
        if key:
            self.sent[key] = time.monotonic()
        self.messages += 1
        out(message)

    async def portal(self, number: int, out: Say, until: float) -> None:
        """Occupancies of 5 s with an alarm in each, at the rates of a VM-250; its pre-trigger lines come at once."""
        await asyncio.sleep(number * (OCCUPIED_S + EMPTY_S) / PORTALS)
        self.say(out, b"GB,000379,000371,000407,000371\r\n")
        await asyncio.sleep(0.5)
        vehicle = 0
        while time.monotonic() < until:
            vehicle += 1
            self.say(out, b"NS,000001,000000,000001,000000\r\n", f"arrival {number} {vehicle}")
            for _ in range(4):
                self.say(out, b"GS,000093,000093,000093,000093\r\n")
            for sample in range(round(OCCUPIED_S / GAMMA_S)):
                if sample == 10:
                    alarm = f"GA,{number:06d},{vehicle:06d},000999,000999"
                    self.say(out, f"{alarm}\r\n".encode(), alarm)
                else:
                    self.say(out, b"GS,000093,000093,000093,000093\r\n")
                if sample % 5 == 4:
                    self.say(out, b"NS,000001,000000,000001,000000\r\n")
                await asyncio.sleep(GAMMA_S)
            self.say(out, f"GX,{vehicle:06d},006683,000000,000000\r\n".encode())
            self.say(out, b"GB,000379,000371,000407,000371\r\n")
            self.say(out, b"NB,000001,000001,000000,000000\r\n")
            await asyncio.sleep(EMPTY_S)

    async def scanner(self, number: int, out: Say, until: float) -> None:
        await asyncio.sleep(number / SCANNERS / SCANS_PER_S)
        scan = 0
        while time.monotonic() < until:
            scan += 1
            seal = f"HQ{number:02d}{scan:06d}"
            self.say(out, f"]C0{seal}\r\n".encode(), seal)
            await asyncio.sleep(1 / SCANS_PER_S)

    async def scale(self, number: int, out: Say, until: float) -> None:
        """Toledo continuous, 9600 baud: SWA x1, increment 1; SWB kg, at times in motion; with a checksum."""
        await asyncio.sleep(number / SCALES / FRAMES_PER_S)
        frame = 0
        while time.monotonic() < until:
            frame += 1
            moving = frame // 100 % 2
            weight = 18_000 + (frame % 100) * moving
            said = b"\x02" + bytes([0x2A, 0x30 | moving << 3, 0x20]) + f"{weight:6d}{0:6d}".encode() + b"\r"
            self.say(out, said + bytes([-sum(byte & 0x7F for byte in said) & 0x7F]))
            await asyncio.sleep(1 / FRAMES_PER_S)


def terminal() -> tuple[str, Say]:
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    return os.ttyname(slave), lambda data: [os.write(master, data)].clear()


async def served() -> tuple[str, Callable[[], Awaitable[Say]]]:
    """A TCP device; waits for its reader."""
    reader: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not reader.done():
            reader.set_result(writer)

    async def connected() -> Say:
        return (await reader).write

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    return f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}", connected


async def main(seconds: float) -> None:
    load = Load()
    portals = [await served() for _ in range(PORTALS)]
    scanners = [terminal() for _ in range(SCANNERS)]
    scales = [terminal() for _ in range(SCALES)]
    urls = {
        "portals": [url for url, _ in portals],
        "scanners": [url for url, _ in scanners],
        "scales": [url for url, _ in scales],
    }
    print(json.dumps(urls), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    began, until = time.monotonic(), time.monotonic() + seconds
    async with asyncio.TaskGroup() as tasks:
        for number, (_, connected) in enumerate(portals):
            tasks.create_task(load.portal(number, await connected(), until))
        for number, (_, say) in enumerate(scanners):
            tasks.create_task(load.scanner(number, say, until))
        for number, (_, say) in enumerate(scales):
            tasks.create_task(load.scale(number, say, until))
    print(json.dumps({"sent": load.sent, "messages": load.messages, "seconds": time.monotonic() - began}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)  # the ports stay until everything is read


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))

"""What breaks at a booth's links: a port that is held, plugged in elsewhere, set up wrongly; a peer that is gone."""

import asyncio
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import yaml

from edge_agent.config import read_config
from edge_agent.devices import link as links
from edge_agent.devices.holders import Holder, holders
from edge_agent.devices.link import LinkSettings, SerialLink
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import LinkDown
from edge_agent.domain.observation import Malformed, RadiationSample
from edge_agent.wire.identity import Role, SpiffeId, create_identity
from tests.integration.devices.conftest import BACKGROUND, Cable, DeviceServer, Heard, talking, until
from tests.integration.devices.uart import Uart, over_the_wire

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)\\(\\) is deprecated:DeprecationWarning")

TIOCGEXCL = 0x80045440  # <asm-generic/ioctls.h>; termios has no name for it


def opened(url: str) -> SerialLink:
    return SerialLink(LinkSettings(url=url), 9600, SystemClock())


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def seen(heard: Heard, state: str) -> bool:
    return state in heard.states


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


# --- a port that somebody else holds --------------------------------------------------------------------------------


async def test_another_program_at_the_port_is_named(cable: Cable) -> None:
    with running("cat", str(cable.path)) as cat:
        await until(lambda: Holder(cat.pid, "cat") in holders(str(cable.path)))
        async with talking(LinkSettings(url=str(cable.path))) as heard:
            await until(lambda: heard.states == ["offline"])
            assert heard.details[0].endswith(f"cannot be opened: it is held by cat (process {cat.pid})")
            cat.kill()  # takes no lock: it would have got some of the bytes
            await until(lambda: heard.states == ["offline", "waiting"])
            cable.say(BACKGROUND)
            await until(lambda: heard.states[-1] == "online")


async def test_two_devices_of_this_agent_at_one_port(cable: Cable, tmp_path: Path) -> None:
    other = tmp_path / "usb-other-name"
    other.symlink_to(os.readlink(cable.path))
    async with opened(str(cable.path)):
        with pytest.raises(LinkDown, match="usb-other-name cannot be opened: it is held by this program itself"):
            await opened(str(other)).__aenter__()


async def test_a_simulator_that_keeps_both_ends_open_is_no_reader() -> None:
    program = "import os,sys; m, s = os.openpty(); print(os.ttyname(s), flush=True); sys.stdin.read()"
    with running(sys.executable, "-c", program) as simulator:
        async with opened(first_line(simulator)):
            pass


def test_programs_that_take_no_lock_are_kept_out(cable: Cable, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a pseudo-terminal the mark would outlive an agent that was killed, so there it is not set.
    def excluded() -> int:
        port = links.open_port(LinkSettings(url=str(cable.path)), 9600)
        try:
            return int(struct.unpack("i", fcntl.ioctl(port.fileno(), TIOCGEXCL, bytes(4)))[0])
        finally:
            fcntl.ioctl(port.fileno(), termios.TIOCNXCL)
            port.close()

    assert not excluded()
    monkeypatch.setattr(links, "is_pty", lambda port: False)
    assert excluded()


async def test_a_port_that_is_not_there() -> None:
    with pytest.raises(LinkDown, match=r"usb-gone cannot be opened: there is no such port; it is unplugged") as raised:
        await opened("/dev/serial/by-id/usb-gone").__aenter__()
    assert "ls -l /dev/serial/by-id" in raised.value.remedy


async def test_nobody_listens_at_an_address() -> None:
    with pytest.raises(LinkDown, match=r"socket://127.0.0.1:1 cannot be opened: Connection refused"):
        await opened("socket://127.0.0.1:1").__aenter__()


# --- by-id ----------------------------------------------------------------------------------------------------------


async def test_an_adapter_comes_back_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "by-id").mkdir()
    cable = Cable(tmp_path / "by-id" / "usb-FTDI_USB-RS232_A1B2-if00-port0")
    cable.plug_in()
    async with talking(LinkSettings(url=str(cable.path)), "barcode_scanner") as heard:
        await until(lambda: heard.states == ["waiting"])
        cable.say(b"]C0HQ0000001\r\n]C0HQ00")
        await until(lambda: b"HQ0000001" in heard.raw)
        before = os.readlink(cable.path)
        cable.pull()
        cable.path.unlink()  # udev takes the link away
        await until(lambda: heard.states[-1] == "offline")
        taken = os.openpty()  # the kernel gave the number to another adapter meanwhile
        try:
            cable.plug_in()
            assert os.readlink(cable.path) != before
            await until(lambda: heard.states[-1] == "waiting")
            cable.say(b"]C0HQ0000002\r\n")
            await until(lambda: b"HQ0000002" in heard.raw)
        finally:
            for end in taken:
                os.close(end)
            cable.pull()
    assert heard.raw.startswith(b"]C0HQ0000001\r\n]C0HQ00"), "what came before the plug was pulled is kept"


# --- RFC 2217: the line's set-up goes through to the device server's port ---------------------------------------------


class WiredServer(DeviceServer):
    """A device server whose device has a line set-up of its own."""

    device = Uart(4800, 7, "E")

    def say(self, data: bytes) -> None:
        port = self.port
        received = over_the_wire(data, self.device, Uart(port.baudrate, port.bytesize, port.parity, port.stopbits))
        super().say(received)


@pytest.fixture
def wired() -> Iterator[WiredServer]:
    server = WiredServer()
    yield server
    server.close()


def test_the_wire_garbles_what_is_set_up_differently() -> None:
    seven = Uart(4800, 7, "E")
    assert over_the_wire(BACKGROUND, seven, seven) == BACKGROUND
    assert over_the_wire(BACKGROUND, Uart(4800), Uart(4850)) == BACKGROUND, "one per cent is within tolerance"
    for other in (Uart(9600, 7, "E"), Uart(2400, 7, "E"), Uart(4800)):
        assert BACKGROUND not in over_the_wire(BACKGROUND * 3, seven, other)
    assert bytes(b & 0x7F for b in over_the_wire(BACKGROUND, seven, Uart(4800))) == BACKGROUND, "only the parity shows"


async def test_a_wrong_rate_is_never_online_until_the_file_is_corrected(wired: WiredServer, tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    create_identity(tmp_path / "keys", "booth", SpiffeId("uslrd", Role.BOOTH, "lane-1"), now)
    create_identity(tmp_path / "keys", "gateway", SpiffeId("uslrd", Role.GATEWAY, "main"), now, ("localhost",))

    def link_of_file(**line: object) -> LinkSettings:
        device = {"id": "rpm", "driver": "rapiscan_vm250", "link": {"url": wired.url, **line}}
        path = tmp_path / "booth.yaml"
        path.write_text(yaml.safe_dump({
            "identity": {"key": "keys/booth.key", "certificate": "keys/booth.crt"},
            "ledger": {"directory": "ledger"},
            "uplink": {"gateway": "localhost:7443", "gateway_certificate": "keys/gateway.crt"},
            "lanes": [{"id": "1", "expects": ["radiation"], "devices": [device]}],
        }))  # fmt: skip
        [lane] = read_config(path).lanes
        link = lane.devices[0].config.link
        assert link
        return link

    for wrong in ({}, {"baud": 4800}, {"baud": 2400, "bytesize": 7, "parity": "even"}):
        async with talking(link_of_file(**wrong)) as heard:
            await until(partial(seen, heard, "waiting"))
            for _ in range(10):
                wired.say(BACKGROUND)
            wired.hang_up()  # behind the last byte
            await until(partial(seen, heard, "offline"))
        assert "online" not in heard.states
        said = [reading.body for reading in heard.readings if reading.raw]
        assert said
        assert all(isinstance(body, Malformed) for body in said)
    async with talking(link_of_file(baud=4800, bytesize=7, parity="even")) as heard:
        await until(lambda: heard.states == ["waiting"])
        assert (wired.port.baudrate, wired.port.bytesize, wired.port.parity) == (4800, 7, "E")
        wired.say(BACKGROUND)
        await until(lambda: heard.states == ["waiting", "online"])
        assert any(isinstance(reading.body, RadiationSample) for reading in heard.readings)


# --- half-open connections --------------------------------------------------------------------------------------------


def vanish(connection: socket.socket) -> None:
    """From now on nothing that arrives is seen, as if the peer had lost its power: a socket filter that takes none."""
    take_none = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF_RET | BPF_K, 0 bytes
    attach_filter = 26  # SO_ATTACH_FILTER, <asm-generic/socket.h>
    connection.setsockopt(socket.SOL_SOCKET, attach_filter, struct.pack("HL", 1, ctypes.addressof(take_none)))


@contextmanager
def listening() -> Iterator[tuple[str, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"socket://127.0.0.1:{server.getsockname()[1]}", server


async def test_a_vanished_peer_is_found_where_silence_is_normal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "_KEEPALIVE", tuple((option, 1) for option, _ in links._KEEPALIVE))
    monkeypatch.setattr(links, "_UNACKNOWLEDGED_MS", 2000)
    with listening() as (url, server):
        async with talking(LinkSettings(url=url), "barcode_scanner") as heard:
            first, _ = await asyncio.to_thread(server.accept)
            first.sendall(b"]C0HQ0012345\r\n")
            await until(lambda: heard.states == ["waiting", "online"])
            vanish(first)
            second, _ = await asyncio.to_thread(server.accept)  # found, and connected anew
            second.sendall(b"]C0HQ0012346\r\n")
            await until(lambda: b"HQ0012346" in heard.raw)
            assert heard.states == ["waiting", "online", "offline", "online"]
            assert "timed out" in heard.details[2]
        first.close()
        second.close()


async def test_a_vanished_peer_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "_UNACKNOWLEDGED_MS", 1000)
    with listening() as (url, server):
        async with opened(url) as link:
            peer, _ = await asyncio.to_thread(server.accept)
            vanish(peer)
            link.send(b"W\r")
            with pytest.raises(LinkDown, match="timed out"):
                await link.receive(30)
        peer.close()


async def test_a_device_server_that_hangs_is_left_and_found_again() -> None:
    program = (
        "import socket, threading, time\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "def speak(to):\n"
        "    try:\n"
        "        while True:\n"
        f"            to.sendall({BACKGROUND!r}); time.sleep(0.05)\n"
        "    except OSError: pass\n"
        "while True: threading.Thread(target=speak, args=(server.accept()[0],), daemon=True).start()\n"
    )
    with running(sys.executable, "-c", program) as device:
        url = f"socket://127.0.0.1:{first_line(device)}"
        async with talking(LinkSettings(url=url, silence_s=1.0)) as heard:
            await until(lambda: "online" in heard.states)
            device.send_signal(signal.SIGSTOP)  # its kernel goes on acknowledging: no keepalive finds that
            await until(lambda: heard.states[-1] == "waiting")
            assert "no message for 1 s" in heard.details[-1]
            device.send_signal(signal.SIGCONT)
            await until(lambda: heard.states[-1] == "online")


async def test_a_proxy_that_stops_forwarding_is_reconnected_through() -> None:
    """A firewall that forgets a connection: no end, no reset, nothing more comes."""
    forgotten = threading.Event()
    clients: list[socket.socket] = []

    def forward(server: socket.socket, device: bytes) -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                clients.append(client)
                if len(clients) == 1:
                    client.sendall(device * 3)
                    forgotten.set()  # keeps the connection, forwards nothing of it again
                else:
                    client.sendall(device)

    with listening() as (url, server):
        thread = threading.Thread(target=forward, args=(server, BACKGROUND), daemon=True)
        thread.start()
        async with talking(LinkSettings(url=url, silence_s=0.3)) as heard:
            await until(lambda: len(clients) >= 2 and heard.raw.count(BACKGROUND) >= 4)
        assert forgotten.is_set()
        assert heard.states[:4] == ["waiting", "online", "waiting", "online"]
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
    thread.join(30)
    for client in clients:
        client.close()

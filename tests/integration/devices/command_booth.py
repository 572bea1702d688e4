"""A booth on pseudo-terminals, for the tests of `edge-agent devices`."""

import os
import subprocess
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_agent.cli import main
from edge_agent.wire.identity import Role, SpiffeId, create_identity
from tests.integration.devices.uart import Uart, over_the_wire

PATIENCE_S = 30.0
# termios knows a rate as a constant of its own.
RATES = {getattr(termios, f"B{baud}"): baud for baud in (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)}


class Device(threading.Thread):
    """A device on a pseudo-terminal that says `words` again and again, over a line that is set up as `uart`."""

    def __init__(self, path: Path, words: bytes, uart: Uart) -> None:
        super().__init__(daemon=True)
        self.path, self.words, self.uart = path, words, uart
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        path.symlink_to(os.ttyname(self._slave))
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._ended.wait(0.05):
            with suppress(OSError):
                os.write(self._master, over_the_wire(self.words, self.uart, Uart(self._baud())))

    def _baud(self) -> int:
        return RATES[termios.tcgetattr(self._slave)[4]]

    def close(self) -> None:
        self._ended.set()
        self.join(PATIENCE_S)
        os.close(self._slave)
        os.close(self._master)


class Booth:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "booth.yaml"
        self.rows: list[dict[str, Any]] = []
        self.expects: list[str] = []
        self.made: list[Device] = []
        now = datetime(2026, 1, 1, tzinfo=UTC)
        create_identity(folder / "keys", "booth", SpiffeId("uslrd", Role.BOOTH, "lane-1"), now)
        create_identity(folder / "keys", "gateway", SpiffeId("uslrd", Role.GATEWAY, "main"), now, ("localhost",))

    def add(self, name: str, driver: str, words: bytes = b"", uart: Uart | None = None, **line: object) -> None:
        """A device of that driver on a pseudo-terminal, at 9600 baud."""
        self.made.append(Device(self.folder / name, words, uart or Uart(9600)))
        self.at(name, driver, str(self.folder / name), **line)

    def at(self, name: str, driver: str, url: str, **line: object) -> None:
        self.row({"id": name, "driver": driver, "link": {"url": url, **line}})

    def row(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        self.path.write_text(yaml.safe_dump({
            "identity": {"key": "keys/booth.key", "certificate": "keys/booth.crt"},
            "ledger": {"directory": "ledger"},
            "uplink": {"gateway": "localhost:7443", "gateway_certificate": "keys/gateway.crt"},
            "lanes": [{"id": "1", "expects": self.expects, "devices": self.rows}],
        }))  # fmt: skip


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main(["devices", *map(str, arguments)])
    said = capsys.readouterr()
    return status, said.out, said.err


@contextmanager
def another_program(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Runs until the block ends; it has said a line before the block begins."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline()
        try:
            yield process
        finally:
            process.communicate("")

"""A booth that starts in 1970, with real TLS: it says that it is the clock, loses nothing, and connects by itself."""

import asyncio
import os
import shutil
import struct
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import SpiffeId, create_identity
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from port_gateway.audit import audit
from tests.integration.keys.booth_at_port import BOOTH, Booth
from tests.integration.keys.enrolling_port import present
from tests.integration.port_gateway.conftest import Port

SHIM = Path(__file__).with_name("wrong_clock.c")


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
async def test_a_booth_in_1970_connects_when_the_clock_is_set(tmp_path: Path) -> None:
    library, clock, log = tmp_path / "wrong_clock.so", tmp_path / "clock", tmp_path / "log"
    await asyncio.to_thread(subprocess.check_call, ["cc", "-shared", "-fPIC", "-o", library, SHIM])
    clock.write_bytes(struct.pack("=q", 300 - int(present().timestamp())))
    port = Port(tmp_path)
    identity = SpiffeId.parse(BOOTH)
    create_identity(tmp_path, "booth", identity, present())
    booth = Booth(tmp_path, port, "booth.key")
    booth.trust()
    async with port.serving() as gateway:
        booth.write(gateway.address)
        with log.open("wb") as said:
            agent = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "edge_agent", "run", str(booth.config)),
                env={**os.environ, "LD_PRELOAD": str(library), "CLOCK_FILE": str(clock)},
                stderr=said,
            )
        try:
            async with asyncio.timeout(60):
                while "this machine's clock says 1970-01-01 00:0" not in log.read_text():
                    assert agent.returncode is None, log.read_text()
                    await asyncio.sleep(0.02)
                assert "events are kept" in log.read_text()
                with clock.open("r+b") as file:
                    file.write(bytes(8))
                while booth.acked() < 1:
                    await asyncio.sleep(0.02)
        finally:
            with suppress(ProcessLookupError):
                agent.terminate()
            await agent.wait()
    assert log.read_text().count("clock says 1970") == 1  # once for the outage, not for each attempt
    assert audit(port.settings())[0].events >= 1
    setup = booth.setup()
    assert verify_ledger(setup.ledger, setup.identity().device_keys()).seq >= 1
    with closing(LedgerReader(setup.ledger)) as reader:
        [envelope, *_] = reader.after(0, 1, 10**6)
    assert wire.Event.FromString(read_envelope(envelope)[0]).at.utc_us < 86_400 * 1_000_000  # said as it was then

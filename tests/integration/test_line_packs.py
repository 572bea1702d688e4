"""A booth, a real gateway and two commands: the same inspection as a pack of the booth and one of the port."""

import asyncio
from pathlib import Path

import pytest

from edge_agent.cli import main as edge_agent
from edge_agent.config import read_config
from edge_agent.domain.clock import SystemClock
from edge_agent.ledger.recorder import open_ledger
from edge_agent.uplink.client import Uplink
from edge_agent.uplink.link import Port as Dialled
from edge_agent.wire.identity import key_id
from port_gateway.cli import main as port_gateway
from tests.integration.ledger.conftest import alarm, closed, opened
from tests.integration.port_gateway.conftest import Port
from tests.unit.pack.port_of_entry import INSPECTION, verify

SETTINGS = """\
identity: {{key: b1/lane-1.key, certificate: b1/lane-1.crt}}
ledger: {{directory: ledger}}
uplink: {{gateway: "{address}", gateway_certificate: gw/main.crt}}
lanes: [{{id: 1, expects: []}}]
"""


@pytest.fixture
async def sent(tmp_path: Path) -> Port:
    """One inspection, recorded at the booth and acknowledged by the port."""
    port = Port(tmp_path)
    async with port.serving() as gateway:
        (tmp_path / "booth.yaml").write_text(SETTINGS.format(address=gateway.address))
        setup = read_config(tmp_path / "booth.yaml")
        identity, clock = setup.identity(), SystemClock()
        device = identity.signer(None)
        async with open_ledger(setup.ledger, str(setup.booth), device, clock, "1.0", lambda *_: None) as ledger:
            for draft in (alarm(1), opened(INSPECTION), alarm(2), closed(INSPECTION), alarm(3)):
                await ledger.recorder.record(draft)
            uplink = Uplink(setup.uplink, Dialled(setup.uplink, identity), ledger.outbox, clock, "1.0", lambda *_: None)
            sending = asyncio.ensure_future(uplink.run())
            async with asyncio.timeout(30):
                while ledger.outbox.acked_through() < ledger.recorder.head.seq:
                    await asyncio.sleep(0.02)
            sending.cancel()
            await asyncio.wait([sending])
    return port


async def test_both_sides_export_the_same_inspection(sent: Port, capsys: pytest.CaptureFixture[str]) -> None:
    booth, port = sent.folder / "by-booth", sent.folder / "by-port"
    assert edge_agent(["ledger", "export", str(sent.folder / "booth.yaml"), INSPECTION, str(booth)]) == 0
    assert port_gateway(["export", str(sent.write_config()), INSPECTION, str(port)]) == 0
    keys = [option for party in (sent.booth, sent.gateway) for option in ("-k", key_id(party.key.public_key()))]
    status, said = verify(booth, *keys)
    assert status == 0, said
    assert "VERIFIED: 3 events by spiffe://uslrd/booth/lane-1, 6 proofs" in said
    assert "in the chain of 6 events that the booth signed" in said
    assert "in the chain of 6 events that spiffe://uslrd/gateway/main held at" in said
    status, said = verify(port, *keys)
    assert (status, "VERIFIED: 3 events by spiffe://uslrd/booth/lane-1, 3 proofs" in said) == (0, True), said
    for name in ("events/0000000003.envelope", "events/0000000005.envelope", "VERIFY.sh"):
        assert (booth / name).read_bytes() == (port / name).read_bytes()
    capsys.readouterr()
    assert edge_agent(["ledger", "export", str(sent.folder / "booth.yaml"), str(sent.folder / "x")]) == 2
    assert "give INSPECTION_ID, or --seq N" in capsys.readouterr().err

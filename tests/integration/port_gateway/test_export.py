"""`port-gateway export`: a pack out of a real inbox, verified by its own script."""

import contextlib
import json
import tarfile
from pathlib import Path

import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.wire.chain import Head
from edge_agent.wire.identity import key_id
from edge_agent.wire.tree import Tree
from edge_agent.wire.verify import Chain, verify_next
from port_gateway.cli import main
from port_gateway.evidence import EvidenceFiles
from port_gateway.inbox import Inbox
from port_gateway.store import Store
from tests.integration.port_gateway.conftest import Port
from tests.unit.pack.port_of_entry import CROP, FRAME, INSPECTION, inspected, verify


@pytest.fixture(params=[True, False], ids=["with tiles", "of an older gateway"])
def config(port: Port, request: pytest.FixtureRequest) -> Path:
    """An inbox with one inspection in the middle of a chain; one piece of its evidence has arrived."""
    ledger = port.ledger()
    inspected(ledger)
    key = port.booth.key.public_key()
    chain = Chain(Head(ledger.booth_id, ledger.epoch), {key_id(key): key})
    verified = []
    for envelope in ledger.envelopes:
        verified.append(verify_next(chain, envelope))
        chain = verified[-1].chain
    with contextlib.closing(Store(port.settings().database)) as store:
        tiles = Tree().extended(v.sha256 for v in verified)[1] if request.param else []
        Inbox(store, SystemClock()).append(Head(ledger.booth_id, ledger.epoch), verified, tiles).result()
    path = EvidenceFiles(port.settings().evidence).path(FRAME.sha256)
    path.parent.mkdir(parents=True)
    path.write_bytes(FRAME.data)
    return port.write_config()


def test_an_inspection(port: Port, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = port.folder / "pack"
    assert main(["export", str(config), INSPECTION, str(out), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    status, said = verify(out)
    assert status == 0, said
    assert "VERIFIED: 5 events by spiffe://uslrd/booth/lane-1, 5 proofs, 1 piece of evidence, 3 absent" in said
    assert f"{CROP.sha256.hex()}: it has not arrived at the port" in said
    assert "in the chain of 354 events that spiffe://uslrd/gateway/main held at" in said
    assert "put together by spiffe://uslrd/gateway/main" in said
    booth_key = key_id(port.booth.key.public_key())
    assert f"  key {booth_key[:16]}... had not been revoked (spiffe://uslrd/gateway/main, " in said
    assert written["size"] < 60_000
    assert main(["export", str(config), INSPECTION, str(out)]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("config", [True], indirect=True)
def test_the_key_was_revoked_after_it(port: Port, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = key_id(port.booth.key.public_key())
    assert main(["trust", "revoke", str(config), port.booth.identity, "--key", key[:16], "--now"]) == 0
    out = port.folder / "pack"
    assert main(["export", str(config), "--booth", port.booth.identity, "--seq", "2", str(out)]) == 0
    status, said = verify(out)
    assert (status, "WAS REVOKED later; what it signed counts through event 354" in said) == (0, True), said
    assert "A key that signed here was revoked later." in (out / "README.html").read_text()


@pytest.mark.parametrize("config", [True], indirect=True)
def test_a_single_event_as_an_archive(port: Port, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = port.folder / "event.tar"
    assert main(["export", str(config), "--booth", port.booth.identity, "--seq", "40", str(out)]) == 0
    assert "sh event/VERIFY.sh" in capsys.readouterr().out
    with tarfile.open(out) as archive:
        archive.extractall(port.folder, filter="data")
    status, said = verify(port.folder / "event")
    assert (status, "VERIFIED: 2 events" in said) == (0, True), said


@pytest.mark.parametrize("config", [True], indirect=True)
@pytest.mark.parametrize(
    ("what", "why"),
    [
        (["3f8a5d2e-0c41-4a6e-9d57-1b2c3d4e5f61"], "no event here names an inspection"),
        (["x"], "is no inspection's id"),
        ([], "what is to be exported?"),
        (["--seq", "3"], "what is to be exported?"),
        (["--seq", "355", "--booth", "spiffe://uslrd/booth/lane-1"], "no event with sequence 355"),
        (["--seq", "1", "--booth", "spiffe://uslrd/booth/lane-7"], "no event of spiffe://uslrd/booth/lane-7"),
    ],
)
def test_what_cannot_be_exported(
    port: Port, config: Path, capsys: pytest.CaptureFixture[str], what: list[str], why: str
) -> None:
    assert main(["export", str(config), *what, str(port.folder / "pack")]) == 2
    assert why in capsys.readouterr().err
    assert not (port.folder / "pack").exists()

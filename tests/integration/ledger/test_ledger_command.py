"""`edge-agent ledger status` and `salvage`, as typed."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edge_agent.cli import main
from edge_agent.ledger.store import DATABASE
from edge_agent.wire.identity import Role, SpiffeId, create_identity
from tests.integration.ledger.conftest import Booth, alarm, picture, until

SETTINGS = """
identity: {key: keys/lane-1.key, certificate: keys/lane-1.crt}
ledger: {directory: ledger, ballast_bytes: 0, budget_bytes: 1000000000}
uplink: {gateway: "localhost:7443", gateway_certificate: keys/gateway.crt}
lanes: [{id: "1", expects: []}]
"""


@pytest.fixture
def config(booth: Booth) -> Path:
    path = booth.keys.parent / "booth.yaml"
    path.write_text(SETTINGS)
    gateway = SpiffeId("uslrd", Role.GATEWAY, "main")
    create_identity(booth.keys, "gateway", gateway, datetime(2026, 3, 1, tzinfo=UTC), ("localhost",))
    return path


def answer(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    assert main(["ledger", *map(str, words), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


async def test_status_says_how_far_everything_is(
    booth: Booth, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = picture(5_000)
    async with booth.open() as ledger:
        for n in range(4):
            await ledger.recorder.record(alarm(n, one))
        ledger.outbox.acked(3)
        await until(lambda: ledger.outbox.acked_through() == 3)
        status = answer(capsys, "status", config)  # beside the agent
        epoch = ledger.outbox.epoch.hex()
    assert (status["epoch"], status["sequence"], status["oldest"]) == (epoch, 5, 1)
    assert (status["acknowledged_through"], status["waiting"], status["trimmed_through"]) == (3, 2, 0)
    assert (status["evidence_bytes"], status["evidence"]) == (5_000, {"kept": 1})
    assert status["database_bytes"] >= (booth.directory / DATABASE).stat().st_size > 0
    assert status["disk"] in {"normal", "filling", "high", "critical"}
    assert status["retention_days"] == 14
    assert main(["ledger", "status", str(config)]) == 0
    assert "acknowledged_through 3" in capsys.readouterr().out


async def test_salvage_leaves_a_whole_ledger_alone_and_begins_anew_after_a_damaged_one(
    booth: Booth, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with booth.open() as ledger:
        for n in range(20):
            await ledger.recorder.record(alarm(n))
    assert answer(capsys, "salvage", config) == {"whole": True}
    with (booth.directory / DATABASE).open("r+b") as file:
        file.write(bytes(100))
    done = answer(capsys, "salvage", config)
    assert (done["found"], done["last_seq"], done["missing"]) == (21, 21, [])
    status = answer(capsys, "status", config)
    assert status["salvaged"] == [done["epoch"]]
    assert status["damaged"] == [done["damaged_in"]]
    assert status["epoch"] != done["epoch"]


def test_status_without_a_ledger_says_so(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "status", str(config)]) == 1
    assert "there is no ledger" in capsys.readouterr().err

"""From a closed inspection to the port's hit, an officer's decision, and both back into the booth's chain."""

import asyncio
import contextlib
import json
import random
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.event import Draft, InspectionClosed
from edge_agent.expecting import Expecting, once
from edge_agent.ledger.recorder import Ledger
from edge_agent.uplink.watch import Watch
from port_gateway.cli import main
from tests.integration.uplink.conftest import Site, until
from tests.integration.uplink.real_port import RealPort
from tests.unit.port_gateway.findings import closed

INSPECTION = "0b1e3f6c-6f3e-4f7e-8f5b-0d3b8f0f5c11"


@pytest.fixture
def port(site: Site, tmp_path: Path) -> RealPort:
    (tmp_path / "gateway.yaml").write_text(
        "identity: {key: keys/gateway.key, certificate: keys/gateway.crt}\nlisten: localhost:1\ndata: data\n"
    )
    return RealPort(site, tmp_path)


@contextlib.asynccontextmanager
async def watching(site: Site, ledger: Ledger) -> AsyncIterator[None]:
    clock, settings = SystemClock(), site.settings()
    with contextlib.closing(Expecting(site.booth.directory, clock)) as known:
        take = once(ledger.outbox, ledger.recorder.record, clock)
        rng = random.Random(1)
        watch = Watch(settings, site.port(settings), "spiffe://uslrd/booth/lane-1", known, take, clock, "1", rng)
        task = asyncio.ensure_future(watch.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def command(port: RealPort, name: list[str], *arguments: str) -> int:
    return await asyncio.to_thread(main, [*name, str(port.folder / "gateway.yaml"), *arguments])


def states(port: RealPort, table: str) -> list[tuple[Any, ...]]:
    return port.rows(f"SELECT chained_seq IS NOT NULL FROM {table}")  # noqa: S608 - a name of ours


async def test_a_hit_and_a_decision_end_in_the_booth_s_chain(
    port: RealPort, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    now = SystemClock().now()
    vehicle = replace(closed(INSPECTION, plates=("AB1203",)), opened=now, closed=now)
    async with site.booth.open() as ledger:
        async with port.serving():
            assert await command(port, ["watchlist", "add"], "plate", "AB-1203", "--tell", "stolen") == 0
            async with port.sending(ledger):
                await ledger.recorder.record(Draft(InspectionClosed(vehicle), now))
                await until(lambda: states(port, "watch_list_hit") == [(0,)])  # the booth does not watch yet
                what = (INSPECTION, "hold", "--officer", "R. Vega", "--reason", "stolen")
                assert await command(port, ["decide"], *what) == 0
                async with watching(site, ledger):
                    await until(lambda: states(port, "watch_list_hit") == [(1,)])
                    await until(lambda: states(port, "decision") == [(1,)])
                assert port.rows("SELECT count(*) FROM booth_message") == [(0,)]
        capsys.readouterr()
        assert await command(port, ["decisions"], "--json") == 0
        [decision] = map(json.loads, capsys.readouterr().out.splitlines())
        assert (decision["state"], decision["decision"], decision["officer"]) == ("chained", "hold", "R. Vega")
        assert await command(port, ["watchlist", "hits"]) == 0
        assert capsys.readouterr().out.rstrip().endswith("chained")


async def test_the_list_is_its_owners_to_read(port: RealPort) -> None:
    assert await command(port, ["watchlist", "add"], "plate", "AB-1203", "--tell", "stolen", "--id", "w-1") == 0
    assert stat.S_IMODE((port.data / "inbox.sqlite").stat().st_mode) == 0o600
    assert stat.S_IMODE(port.data.stat().st_mode) == 0o700


async def test_commands_on_the_list(port: RealPort, capsys: pytest.CaptureFixture[str]) -> None:
    file = port.folder / "list.csv"
    file.write_text(
        'kind,text,tell,severity,until\nplate,AB-1203,"stolen, 2026",warning,\ntag,E2801160,x,,2099-01-01T00:00Z\n'
    )
    assert await command(port, ["watchlist", "import"], str(file)) == 0
    (port.folder / "list.json").write_text(
        '[{"id": "w-9", "kind": "seal", "text": "ML-123456", "tell": "seen before"}]'
    )
    assert await command(port, ["watchlist", "import"], str(port.folder / "list.json")) == 0
    capsys.readouterr()
    assert await command(port, ["watchlist", "list"], "--json") == 0
    listed = {one["text"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert set(listed) == {"AB-1203", "E2801160", "ML-123456"}
    assert (listed["AB-1203"]["severity"], listed["AB-1203"]["tell"]) == ("warning", "stolen, 2026")
    assert listed["E2801160"]["until"] == "2099-01-01T00:00:00+00:00"
    assert await command(port, ["watchlist", "remove"], "w-9", "w-0") == 1
    assert "removed 1; not there: w-0" in capsys.readouterr().out
    assert await command(port, ["watchlist", "changes"]) == 0
    changes = capsys.readouterr().out
    assert "removed w-9" in changes
    assert "AB-1203" not in changes


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "kind,text,tell\nplate,AB1203\n", "a.csv:2: NOT_READABLE: 2 cells, the header has 3"),
        ("a.csv", "kind,text,tell\nplate,SECRET1,\n", "a.csv:2: without tell"),
        (
            "a.csv",
            "kind,text,tell,x\nplate,SECRET1,t,y\n",
            "a.csv:1: NOT_READABLE: the header: no name is known of column 4",
        ),
        ("a.csv", "plate,SECRET1,stolen\n", "no name is known of column 1, 2, 3; there is no column kind, text, tell"),
        (
            "a.csv",
            "kind;text;tell\nplate;AB1203;t\nplate;SECRET1\n",
            "a.csv:3: NOT_READABLE: 2 cells, the header has 3",
        ),
        (
            "a.json",
            '[\n{"kind": "plate", "text": "SECRET1", "tell": "t", "x": "y"}]',
            "a.json:2: 1 unknown field",
        ),
        (
            "a.json",
            '[{"kind": "plate",\n "text": "SECRET1", "tell": "t"},\n"SECRET1"]',
            "a.json:3: NOT_READABLE: this is no object",
        ),
        ("a.csv", "kind,text,tell\nface,SECRET1,t\n", "a.csv:2: w-"),
        ("a.csv", 'kind,text,tell\nplate,"SECRET1,t\n', "no CSV"),
        ("a.csv", "", "there is no entry in it"),
        ("a.csv", "kind,text,tell,until\nplate,SECRET1,t,tomorrow\n", "severity, recommends or until"),
        ("a.csv", "kind,text,tell,until\nplate,SECRET1,t,2020-01-01T00:00Z\n", "it ended in the past"),
        ("a.json", "{", "a.json:1: NOT_READABLE: no JSON array"),
        ("a.json", '{"kind": "plate"}', "no JSON array"),
        ("a.json", "[3]", "this is no object"),
        ("a.json", '[{"kind": "plate", "text": 7, "tell": "t"}]', "without text"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.txt", "x", "neither .csv nor .json"),
    ],
)
async def test_a_file_that_is_no_list(
    port: RealPort, capsys: pytest.CaptureFixture[str], name: str, text: str, words: str
) -> None:
    (port.folder / name).write_text(text)
    assert await command(port, ["watchlist", "import"], str(port.folder / name)) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "SECRET1" not in said


async def test_a_decision_over_nothing(port: RealPort, capsys: pytest.CaptureFixture[str]) -> None:
    assert await command(port, ["decide"], INSPECTION, "hold", "--officer", "R. Vega", "--reason", "x") == 2
    assert "no event here opens or closes an inspection" in capsys.readouterr().err

"""A booth that runs for days: three sessions in one run, which everybody who verifies takes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from edge_agent import agent
from edge_agent.cli import main
from edge_agent.domain.clock import Instant, SystemClock
from edge_agent.ledger import next_session, recorder
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.handover import handed_over
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.ledger.store import DATABASE
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import SpiffeId, create_identity, load_certificate
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from port_gateway.audit import audit
from port_gateway.cli import main as gateway_main
from port_gateway.tail import Printer, Tail, tail
from tests.consumers.test_node import NODE, node
from tests.hardware_token import HardwareToken, needs_softhsm
from tests.integration.keys.booth_at_port import BOOTH, Booth
from tests.integration.keys.enrolling_port import LANE, EnrollingPort, present
from tests.integration.port_gateway.conftest import Port
from tests.unit.pack.port_of_entry import verify

DAY_S = 86_400.0


class Ahead(SystemClock):
    """The kernel's clock, moved on by the test."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> Instant:
        now = super().now()
        moved_ns = now.monotonic_ns + round(self.seconds * 1e9)
        return replace(now, utc=now.utc + timedelta(seconds=self.seconds), monotonic_ns=moved_ns)

    def monotonic(self) -> float:
        return super().monotonic() + self.seconds


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "LOOK_S", 0.02)


@pytest.fixture(params=["file", pytest.param("token", marks=needs_softhsm)])
def booth(request: pytest.FixtureRequest, tmp_path: Path) -> Booth:
    if request.param == "file":
        create_identity(tmp_path, "booth", SpiffeId.parse(BOOTH), present())
        return booth_of(tmp_path, Port(tmp_path), "booth.key")
    token: HardwareToken = request.getfixturevalue("token")
    assert main(["keys", "init", BOOTH, "--out", str(tmp_path), "--signer", token.uri()]) == 0
    return booth_of(tmp_path, Port(tmp_path), token.uri())


def booth_of(folder: Path, port: Port, key: str) -> Booth:
    booth = Booth(folder, port, key)
    booth.clock = Ahead()
    booth.trust()
    return booth


def ahead(booth: Booth, seconds: float) -> None:
    assert isinstance(booth.clock, Ahead)
    booth.clock.seconds += seconds


def held(booth: Booth) -> list[wire.Event]:
    with contextlib.closing(LedgerReader(booth.folder / "ledger")) as reader:
        return [wire.Event.FromString(read_envelope(e)[0]) for e in reader.after(0, 10_000, 10**8)]


def openings(booth: Booth) -> list[wire.Event]:
    return [event for event in held(booth) if event.WhichOneof("body") == "session_opened"]


def key_states(booth: Booth) -> list[str]:
    said = [e.device_changed for e in held(booth) if e.device_changed.device_id == next_session.DEVICE_KEY]
    return [wire.DeviceState.Name(one.status.state).rpartition("_")[2] for one in said]


async def until(running: "asyncio.Task[None]", what: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not what():
            assert not running.done()
            await asyncio.sleep(0.01)


async def run_for_days(booth: Booth, days: int) -> None:
    """A run of the agent with a new session each day, all of it acknowledged at its end."""
    before = len(openings(booth)) if booth.acked() else 0
    async with booth.running() as running:
        await until(running, lambda: booth.acked() > 0 and len(openings(booth)) == before + 1)
        began = before + 1
        for day in range(1, days + 1):
            ahead(booth, DAY_S)
            await until(running, lambda day=day: len(openings(booth)) == began + day)  # type: ignore[misc]
        await until(running, lambda: booth.acked() >= openings(booth)[-1].seq)


@contextlib.asynccontextmanager
async def without_port(booth: Booth) -> AsyncIterator["asyncio.Task[None]"]:
    stop = asyncio.Event()
    running = asyncio.ensure_future(agent.run(booth.setup(), booth.clock, stop))
    try:
        yield running
    finally:
        stop.set()
        await running


async def everybody_verifies(booth: Booth, sessions: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The ledger's check, the port's, a back-office in Python and one in JavaScript, and packs of both sides."""
    port, opened = booth.port, openings(booth)
    assert port.running is not None
    assert len(opened) == sessions
    verify_ledger(booth.folder / "ledger", booth.setup().identity().device_keys())
    counts = audit(port.settings())[0]
    assert counts.sessions == sessions
    office, gateway = port.office, port.gateway
    files = (gateway.certificate_path, office.key_path, office.certificate_path)
    capsys.readouterr()
    assert await tail(Tail(port.running.address, *files, after=0, wait_s=0.3), Printer(False)) == 0
    told = capsys.readouterr().out
    renewed = sum(one.session_opened.while_running for one in opened)
    assert told.count("new session key while running") == renewed
    assert told.count("session opened") == sessions - renewed
    note = booth.folder / "receipt.note"
    with contextlib.closing(apsw.Connection(str(booth.folder / "ledger" / DATABASE))) as database:
        [(receipt,)] = database.execute("SELECT note FROM receipt ORDER BY size DESC LIMIT 1").fetchall()
    assert isinstance(receipt, bytes)
    note.write_bytes(receipt)
    if NODE is not None:
        status, said = await node(
            *("--port", port.running.address, "--gateway", gateway.certificate_path, "--note", note),
            *("--certificate", office.certificate_path, "--key", office.key_path, "--count", str(counts.events)),
        )
        assert status == 0, said
        assert said.splitlines()[-1].startswith(f"VERIFIED {counts.events} events of 1 chain")
        assert said.count(" session_opened ") == sessions
    config = str(port.write_config())
    seqs = {min(opening.seq + 1, counts.events) for opening in opened[-3:]}  # its first event, where it has one
    for seq in sorted(seqs):
        mine, theirs = (booth.folder / f"pack-{sessions}-{side}-{seq}" for side in ("booth", "port"))
        assert await asyncio.to_thread(main, ["ledger", "export", str(booth.config), "--seq", str(seq), str(mine)]) == 0
        command = ["export", config, "--booth", BOOTH, "--seq", str(seq), str(theirs)]
        assert await asyncio.to_thread(gateway_main, command) == 0
        for pack in (mine, theirs):
            status, said = await asyncio.to_thread(verify, pack)
            assert status == 0, said


async def test_three_sessions_of_one_run_and_those_of_a_new_key_are_taken_by_everybody(
    booth: Booth, capsys: pytest.CaptureFixture[str]
) -> None:
    async with booth.port.serving():
        await run_for_days(booth, 2)
        assert [one.session_opened.while_running for one in openings(booth)] == [False, True, True]
        assert await asyncio.to_thread(main, ["keys", "rotate", str(booth.config)]) == 0  # opens a session of its own
        await run_for_days(booth, 1)
        kinds = [event.WhichOneof("body") for event in held(booth)]
        handed = kinds.index("key_rotated") + 1
        after = [one.session_opened.while_running for one in openings(booth) if one.seq > handed]
        assert after == [False, True]
        new = handed_over(booth.folder / "ledger" / DATABASE)
        assert new is not None
        with contextlib.closing(LedgerReader(booth.folder / "ledger")) as reader:
            signers = {read_envelope(reader.after(one.seq - 1, 1, 10**6)[0])[1].keyid for one in openings(booth)[-2:]}
        assert signers == {new.key}
        await everybody_verifies(booth, 6, capsys)


async def test_sessions_that_were_opened_without_a_port_are_sent_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create_identity(tmp_path, "booth", SpiffeId.parse(BOOTH), present())
    booth = booth_of(tmp_path, Port(tmp_path), "booth.key")
    async with without_port(booth) as running:
        await until(running, lambda: (booth.folder / "ledger" / DATABASE).exists() and len(held(booth)) > 0)
        for sessions in (2, 3):
            ahead(booth, DAY_S)
            await until(running, lambda sessions=sessions: len(openings(booth)) == sessions)  # type: ignore[misc]
    async with booth.port.serving():
        async with booth.running() as running:
            await until(running, lambda: booth.acked() >= openings(booth)[-1].seq > 3)
        await everybody_verifies(booth, 4, capsys)


@needs_softhsm
async def test_a_token_that_is_pulled_out_leaves_the_old_session_until_it_is_back(
    tmp_path: Path, token: HardwareToken, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "init", BOOTH, "--out", str(tmp_path), "--signer", token.uri()]) == 0
    booth = booth_of(tmp_path, Port(tmp_path), token.uri())
    async with booth.port.serving():
        async with booth.running() as running:
            await until(running, lambda: booth.acked() > 0)
            token.pull_out()
            token.look_again()
            ahead(booth, DAY_S)
            await until(running, lambda: key_states(booth) == ["OFFLINE"])
            for _ in range(3):
                ahead(booth, next_session.FAILED_MAX_S)
                await asyncio.sleep(0.1)  # time in which it is tried again
            assert key_states(booth) == ["OFFLINE"]
            assert len(openings(booth)) == 1
            await until(running, lambda: booth.acked() >= held(booth)[-1].seq)
            token.put_back()
            ahead(booth, next_session.FAILED_MAX_S)
            await until(running, lambda: key_states(booth) == ["OFFLINE", "ONLINE"])
            assert len(openings(booth)) == 2
            ahead(booth, DAY_S)
            await until(running, lambda: len(openings(booth)) == 3)
            await until(running, lambda: booth.acked() >= openings(booth)[-1].seq)
        await everybody_verifies(booth, 3, capsys)
    said = [r.getMessage() for r in caplog.records if r.name == next_session.__name__ and r.levelname != "INFO"]
    assert len(said) == 2
    assert "opens no new session: token 'booth' is not there" in said[0]
    assert "answers again" in said[1]


async def test_a_certificate_is_renewed_between_two_sessions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    port = EnrollingPort(tmp_path)
    create_identity(tmp_path, "booth", LANE, present() - timedelta(days=80), valid_for=timedelta(days=90))
    before = load_certificate(tmp_path / "booth.crt")
    booth = booth_of(tmp_path, port, "booth.key")
    async with port.serving():
        async with booth.running() as running:
            await until(running, lambda: booth.acked() > 0)
            ahead(booth, DAY_S)
            await until(running, lambda: len(openings(booth)) == 2)
            await until(running, lambda: load_certificate(tmp_path / "booth.crt") != before)
            ahead(booth, DAY_S)
            await until(running, lambda: len(openings(booth)) == 3)
            await until(running, lambda: booth.acked() >= openings(booth)[-1].seq)
        await everybody_verifies(booth, 3, capsys)
    troubles = [r.getMessage() for r in caplog.records if r.levelname in ("WARNING", "ERROR")]
    assert not [text for text in troubles if "refused" in text or "no connection" in text or "session" in text]

"""What was salvaged of a damaged ledger comes to the real gateway by itself, over its gaps, and nothing else does."""

import asyncio
import contextlib
import logging
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import grpc
import grpc.aio
import pytest
from cryptography.hazmat.primitives import serialization

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import PortUnreachable
from edge_agent.ledger.recorder import Ledger
from edge_agent.ledger.salvage import salvage
from edge_agent.ledger.salvaged import SalvagedLedger, open_salvaged, salvaged_status
from edge_agent.ledger.store import DATABASE
from edge_agent.ledger_command.cli import ledger_status
from edge_agent.pack.collect import collect_event
from edge_agent.uplink.client import Uplink
from edge_agent.uplink.salvaged import SalvagedUplink
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import identity_of, load_certificate, load_private_key
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.v1alpha1.services_pb2 import Welcome
from edge_agent.wire.v1alpha1.services_pb2_grpc import SubscribeServiceStub
from port_gateway.cli import main
from port_gateway.client import Received, Subscription
from port_gateway.export import _open, _write
from port_gateway.ingest import Ingest
from port_gateway.revocation import chain_heads
from port_gateway.store import Store, offline
from port_gateway.time_authority import TimeAuthority
from port_gateway.time_tokens import Stamping, TimeTokens
from port_gateway.trees import Receipts
from port_gateway.trust import TrustStore
from tests.integration.ledger.conftest import alarm, picture
from tests.integration.uplink.conftest import Site, until
from tests.integration.uplink.real_port import RealPort
from tests.time_authority import Tsa
from tests.unit.port_gateway.signing import Party


@dataclass
class Damaged:
    """A booth whose first ledger wrote `envelopes`; the port holds the first eight of them."""

    port: RealPort
    envelopes: list[bytes] = field(default_factory=list)

    @property
    def directory(self) -> Path:
        return self.port.site.booth.directory

    @property
    def epoch(self) -> bytes:
        return Event.FromString(read_envelope(self.envelopes[0])[0]).epoch

    async def write(self, count: int = 30) -> None:
        booth = self.port.site.booth
        async with booth.open() as ledger:
            async with self.port.serving(), self.port.sending(ledger):
                for n in range(7):
                    await ledger.recorder.record(alarm(n, picture(600, b"%02d" % n)))
                await until(lambda: ledger.outbox.acked_through() == 8)
            for n in range(7, count - 1):
                await ledger.recorder.record(alarm(n))
            self.envelopes = list(ledger.outbox.after(0, 10_000, 10**9))

    def lose(self, *seqs: int) -> None:
        """A flipped bit in each of these events, and a salvage."""
        path = self.directory / DATABASE
        data = bytearray(path.read_bytes())
        for seq in seqs:
            at = data.find(self.envelopes[seq - 1])
            assert at > 0
            data[at + 40] ^= 1
        path.write_bytes(data)
        booth = self.port.site.booth
        salvage(booth.directory, booth.booth_id, booth.device_keys)

    def at_port(self) -> list[int]:
        return [
            seq
            for epoch, seq in self.port.rows("SELECT epoch, seq FROM event ORDER BY cursor")
            if bytes(epoch) == self.epoch
        ]

    def alarms(self) -> list[tuple[str, int]]:
        return [(code, seq) for code, seq in self.port.rows("SELECT code, seq FROM alarm ORDER BY id")]

    @contextlib.asynccontextmanager
    async def sending(self, ledger: Ledger, salvaged: list[SalvagedLedger] | None = None) -> AsyncIterator[None]:
        """As the agent runs it: the new ledger, and beside it what was salvaged."""
        site = self.port.site
        settings = site.settings()
        port, clock = site.port(settings), SystemClock()
        beside = open_salvaged(self.directory) if salvaged is None else salvaged
        sending = SalvagedUplink(settings, port, beside, ledger.outbox, clock, "1.0")
        events = Uplink(settings, port, ledger.outbox, clock, "1.0", lambda *_: None, on_less_held=sending.offer_again)
        ledger.recorder.notify(events.wake)
        tasks = [asyncio.ensure_future(events.run()), asyncio.ensure_future(sending.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for one in beside:
                one.close()


@pytest.fixture
async def damaged(site: Site, tmp_path: Path) -> Damaged:
    case = Damaged(RealPort(site, tmp_path))
    await case.write()
    return case


def status(case: Damaged) -> list[str]:
    return salvaged_status(case.directory)


async def test_everything_whole_comes_over_the_gaps(damaged: Damaged, capsys: pytest.CaptureFixture[str]) -> None:
    damaged.lose(12, 13, 20, 30)
    assert status(damaged)[0].endswith(": the port holds it through 0 of 29")
    async with damaged.port.site.booth.open() as ledger:
        async with damaged.port.serving(), damaged.sending(ledger):
            await until(lambda: status(damaged)[0].endswith("the port holds all of it"))
        assert ledger_status(damaged.directory, None, 0)["salvaged_at_port"] == status(damaged)
    assert damaged.at_port() == [n for n in range(1, 30) if n not in (12, 13, 20)]
    assert damaged.alarms() == [("EVENTS_MISSING", 12), ("EVENTS_MISSING", 20)]
    assert damaged.port.audit().events == 26 + 1
    # The port's last receipt is over all thirty places but the last; the gaps are leaves of zeros.
    salvaged = SalvagedLedger(damaged.directory / "salvaged" / damaged.epoch.hex())
    note = (damaged.directory / "salvaged" / damaged.epoch.hex() / "port.json").read_text()
    salvaged.close()
    assert '"through": 29' in note
    assert main(["verify", str(settings_file(damaged.port))]) == 0
    assert "EVENTS_MISSING" in capsys.readouterr().out


async def both(damaged: Damaged, salvaged: list[SalvagedLedger] | None = None, held: int = 29) -> None:
    """The gateway and the new ledger's agent, until the port holds the old epoch through `held`."""
    async with damaged.port.site.booth.open() as ledger, damaged.port.serving(), damaged.sending(ledger, salvaged):
        await until(lambda: damaged.at_port()[-1:] == [held])
        if salvaged is None:
            await until(lambda: status(damaged)[0].endswith("the port holds all of it"))


class Cut(SalvagedLedger):
    """Its agent is killed when it has sent what comes before sequence 22."""

    def next_after(self, seq: int) -> int | None:
        if seq >= 21:
            raise PortUnreachable("killed", "")
        return super().next_after(seq)

    def after(self, seq: int, limit: int, max_bytes: int) -> Sequence[bytes]:
        return super().after(seq, 3, max_bytes)


async def test_a_kill_in_the_middle_loses_and_repeats_nothing(damaged: Damaged) -> None:
    damaged.lose(12, 20)
    folder = damaged.directory / "salvaged" / damaged.epoch.hex()
    await both(damaged, [Cut(folder)], held=23)
    assert status(damaged)[0].endswith("the port holds it through 0 of 30")  # not said before all is there
    await both(damaged, held=30)
    assert status(damaged)[0].endswith("the port holds all of it")
    assert damaged.at_port() == [n for n in range(1, 31) if n not in (12, 20)]
    assert damaged.port.audit().events == 28 + 2


async def test_a_port_that_lost_its_data_gets_it_again(damaged: Damaged) -> None:
    damaged.lose(12, 30)
    before = damaged.port.back_up()
    async with damaged.port.site.booth.open() as ledger, damaged.sending(ledger):
        async with damaged.port.serving():
            await until(lambda: damaged.at_port()[-1:] == [29])
            await ledger.recorder.record(alarm(1))
            await until(lambda: ledger.outbox.acked_through() == 2)
        damaged.port.restore(before)
        async with damaged.port.serving():
            await until(lambda: damaged.at_port()[-1:] == [29])
    assert damaged.port.audit().events == 28 + 2


async def test_a_port_that_never_saw_the_old_ledger(damaged: Damaged) -> None:
    damaged.lose(30)
    damaged.port.restore(None)
    await both(damaged)
    assert damaged.at_port() == list(range(1, 30))
    assert damaged.alarms() == []
    assert damaged.port.audit().events == 29 + 1


async def test_a_reader_follows_over_the_gaps(damaged: Damaged, tmp_path: Path) -> None:
    damaged.lose(12, 13)
    office = Party(tmp_path / "office", "spiffe://uslrd/back-office/customs")
    with contextlib.closing(Store(damaged.port.settings().database)) as store:
        TrustStore(store, SystemClock()).add([office.certificate], False)
    async with damaged.port.site.booth.open() as ledger, damaged.port.serving() as gateway, damaged.sending(ledger):
        await until(lambda: damaged.at_port()[-1:] == [30])
        roots = (damaged.port.site.keys / "gateway.crt").read_bytes()
        credentials = grpc.ssl_channel_credentials(roots, *office.pair)
        async with grpc.aio.secure_channel(gateway.address, credentials) as channel:
            for after in (0, 20):  # also one that begins behind the gap
                async with Subscription(SubscribeServiceStub(channel), after=after) as reading:
                    seqs = []
                    while (received := await reading.next(20)) is not None:
                        assert isinstance(received, Received)
                        if received.verified.event.epoch == damaged.epoch:
                            seqs.append(received.verified.seq)
                        if seqs and seqs[-1] == 30:
                            break
                assert seqs[-2:] == [29, 30]
                if after == 0:
                    assert seqs == [n for n in range(1, 31) if n not in (12, 13)]


async def test_the_pack_of_an_event_behind_the_gap_is_verified_with_openssl(damaged: Damaged, tmp_path: Path) -> None:
    damaged.lose(12, 13, 20)
    await both(damaged, held=30)
    settings = damaged.port.settings()
    with offline(settings.database) as db:
        assert list(chain_heads(db, damaged.port.site.booth.booth_id))[-1] != damaged.epoch  # not the newest ledger
        source, certificates = _open(settings, db, damaged.port.site.booth.booth_id, damaged.epoch, SystemClock())
        contents = collect_event(source, 25, certificates)
        _write(settings, contents, tmp_path / "pack", SystemClock(), "1.0")
    said = await asyncio.to_thread(verify_pack, tmp_path / "pack")
    assert "VERIFIED: 2 events" in said, said
    assert (
        "3 of the events of that chain were lost with a damaged ledger" in (tmp_path / "pack/README.html").read_text()
    )


def verify_pack(folder: Path) -> str:
    command: list[str | Path] = ["sh", folder / "VERIFY.sh", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


async def test_a_time_token_is_over_the_gaps_too(damaged: Damaged, tmp_path: Path) -> None:
    damaged.lose(12, 13)
    await both(damaged, held=30)
    settings = damaged.port.settings()
    gateway = load_certificate(settings.identity.certificate)
    receipts = Receipts(identity_of(gateway), load_private_key(settings.identity.key), SystemClock())
    with Tsa(tmp_path / "tsa").serving() as tsa, contextlib.closing(Store(settings.database)) as store:
        der = gateway.public_bytes(serialization.Encoding.DER)
        stamping = Stamping(receipts, der, TimeAuthority(tsa.address), tsa.root, 600)
        TimeTokens(store, stamping, SystemClock()).turn()
    assert damaged.port.audit().time_tokens == 2  # of both epochs: their roots are as the events say


async def test_a_fork_stops_it(damaged: Damaged, caplog: pytest.LogCaptureFixture) -> None:
    """The port holds another event at sequence 8 than was salvaged."""
    damaged.lose(12)
    with contextlib.closing(apsw.Connection(str(damaged.port.settings().database))) as db:
        db.execute("UPDATE event SET sha256 = ? WHERE seq = 8", (b"f" * 32,))
        db.execute("UPDATE chain SET sha256 = ? WHERE seq = 8", (b"f" * 32,))
    async with damaged.port.site.booth.open() as ledger, damaged.port.serving(), damaged.sending(ledger):
        await until(lambda: "FORK at sequence 8" in caplog.text)
        await until(lambda: ledger.outbox.acked_through() == 1)
        await until(lambda: "FORK at sequence 8" in status(damaged)[0])
    assert damaged.at_port() == list(range(1, 9))


async def test_a_booths_own_two_streams_do_not_end_each_other(
    damaged: Damaged, caplog: pytest.LogCaptureFixture
) -> None:
    damaged.lose(12)
    caplog.set_level(logging.DEBUG)
    await both(damaged, held=30)
    assert "superseded" not in caplog.text


def settings_file(port: RealPort) -> Path:
    path = port.folder / "gateway.yaml"
    keys = port.site.keys
    path.write_text(
        f"identity: {{key: {keys / 'gateway.key'}, certificate: {keys / 'gateway.crt'}}}\n"
        f"listen: 127.0.0.1:0\ndata: {port.data}\n"
    )
    return path


async def test_one_that_is_damaged_itself_does_not_end_the_agent(
    damaged: Damaged, caplog: pytest.LogCaptureFixture
) -> None:
    damaged.lose(30)
    path = damaged.directory / "salvaged" / damaged.epoch.hex() / DATABASE
    data = bytearray(path.read_bytes())
    at = data.find(damaged.envelopes[19]) // 4096 * 4096
    assert at > 4096
    data[at : at + 4096] = b"\xff" * 4096
    path.write_bytes(data)
    async with damaged.port.site.booth.open() as ledger, damaged.port.serving(), damaged.sending(ledger):
        await until(lambda: "cannot be read, and is not offered" in caplog.text)
        seq = (await ledger.recorder.record(alarm(99))).seq
        await until(lambda: ledger.outbox.acked_through() == seq)


async def test_a_port_that_would_take_it_for_the_booths_own_stream_is_not_sent_it(
    damaged: Damaged, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An older gateway: its welcome does not know the field."""
    damaged.lose(12)
    welcome = Ingest._welcome

    def older(self: Ingest, *arguments: Any) -> Welcome:
        said = welcome(self, *arguments)
        said.ClearField("takes_salvaged")
        return said

    caplog.set_level(logging.DEBUG)
    with monkeypatch.context() as patch:
        patch.setattr(Ingest, "_welcome", older)
        async with damaged.port.site.booth.open() as ledger, damaged.port.serving(), damaged.sending(ledger):
            await until(lambda: "older than this agent" in status(damaged)[0])
            seq = (await ledger.recorder.record(alarm(99))).seq
            await until(lambda: ledger.outbox.acked_through() == seq)
    assert damaged.at_port() == list(range(1, 9))
    assert "superseded" not in caplog.text
    await both(damaged, held=30)

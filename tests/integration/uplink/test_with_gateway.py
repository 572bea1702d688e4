"""The booth's uplinks and the real gateway: what they do for each other when something is not as usual."""

import asyncio
import contextlib
import copy
import logging
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.event import StorageLevel, StorageState
from edge_agent.ledger import housekeeping
from edge_agent.ledger.housekeeping import Keeping
from edge_agent.ledger.recorder import Ledger
from edge_agent.ledger_command.cli import ledger_status
from edge_agent.uplink.link import LinkState
from edge_agent.wire import verify
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.v1alpha1.services_pb2 import StreamEventsRequest, StreamEventsResponse
from edge_agent.wire.v1alpha1.services_pb2_grpc import IngestServiceStub
from port_gateway.cli import main
from port_gateway.quarantine import release
from port_gateway.store import Store
from port_gateway.trust import TrustStore
from tests.integration.ledger.conftest import HandClock, alarm, picture
from tests.integration.uplink.conftest import Site, until
from tests.integration.uplink.real_port import RealPort
from tests.unit.port_gateway.signing import Ledger as SignedLedger
from tests.unit.port_gateway.signing import Party

UP, DOWN, REFUSED, FORKED = LinkState.UP, LinkState.DOWN, LinkState.REFUSED, LinkState.FORKED


@pytest.fixture
def port(site: Site, tmp_path: Path) -> RealPort:
    return RealPort(site, tmp_path)


async def record(ledger: Ledger, first: int, count: int) -> None:
    """Events, each fiftieth with a picture."""
    await asyncio.gather(
        *(
            ledger.recorder.record(alarm(n, *((picture(700, b"%06d" % n),) if n % 50 == 0 else ())))
            for n in range(first, first + count)
        )
    )


@contextlib.asynccontextmanager
async def held_open(port: RealPort, address: str) -> AsyncIterator[None]:
    """A stream of another booth that never half-closes."""
    other = Party(port.folder / "other", "spiffe://uslrd/booth/lane-2")
    with contextlib.closing(Store(port.settings().database)) as store:
        TrustStore(store, SystemClock()).add([other.certificate], False)
    roots = (port.site.keys / "gateway.crt").read_bytes()
    credentials = grpc.ssl_channel_credentials(roots, *other.pair)
    async with grpc.aio.secure_channel(address, credentials) as channel:
        call = IngestServiceStub(channel).StreamEvents()
        await call.write(StreamEventsRequest(hello=SignedLedger(other.identity, other.key).hello()))
        assert isinstance(await call.read(), StreamEventsResponse)
        yield
        call.cancel()


async def all_is_there(port: RealPort, ledger: Ledger) -> None:
    await until(lambda: ledger.outbox.acked_through() == ledger.recorder.head.seq)
    await until(lambda: not ledger.outbox.pending_blobs(0, 1))


# --- a stop ---------------------------------------------------------------------------------------------------------
async def test_a_gateway_that_stops_and_comes_back_is_no_failure(
    port: RealPort, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ending = asyncio.Event()
    port.limits = port.limits.model_copy(update={"back_after_s": 2})

    async def work(ledger: Ledger) -> None:
        n = 600
        while not ending.is_set():
            await record(ledger, n, 20)
            n += 20

    async with port.site.booth.open() as ledger, contextlib.AsyncExitStack() as first:
        await record(ledger, 0, 600)
        await first.enter_async_context(port.serving())
        # Evidence is still on its way when the gateway stops.
        async with port.sending(ledger, evidence_bytes_per_s=100_000):
            await until(lambda: ledger.outbox.acked_through() > 300)
            working = asyncio.ensure_future(work(ledger))
            await until(lambda: ledger.outbox.acked_through() > 700)
            begun = time.monotonic()
            await first.aclose()
            assert time.monotonic() - begun < port.limits.drain_s, "the booth half-closed, and nobody waited for time"
            durable = port.held()
            assert ledger.outbox.acked_through() <= durable
            assert "is stopping, and is dialled again in" in caplog.text
            async with port.serving():
                await until(lambda: ledger.outbox.acked_through() > durable)
                ending.set()
                await working
                await all_is_there(port, ledger)
        assert port.audit().events == ledger.recorder.head.seq
    assert {state for state, _ in port.links} == {UP}
    told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert not told


async def test_a_booth_that_dials_while_the_gateway_stops_is_told(port: RealPort, site: Site) -> None:
    port.limits = port.limits.model_copy(update={"drain_s": 1.0})
    async with site.booth.open() as ledger, contextlib.AsyncExitStack() as serving:
        gateway = await serving.enter_async_context(port.serving())
        # Another booth does not half-close, and keeps the gateway from ending for as long as it may.
        async with held_open(port, gateway.address):
            stopping = asyncio.ensure_future(serving.aclose())
            await asyncio.sleep(0.1)
            async with port.sending(ledger):
                await asyncio.sleep(0.5)
                assert ledger.outbox.acked_through() == 0
                assert port.links == []
            await stopping


# --- a port that lost data --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("restored", ["a backup", "nothing"])
async def test_a_port_that_lost_data_is_refilled_to_the_same_root(port: RealPort, restored: str) -> None:
    async with port.site.booth.open() as ledger:
        await record(ledger, 0, 200)
        async with port.serving(), port.sending(ledger):
            await all_is_there(port, ledger)
        backup = port.back_up() if restored == "a backup" else None
        await record(ledger, 200, 100)
        async with port.serving(), port.sending(ledger):
            await all_is_there(port, ledger)
        whole, counts = port.root(ledger), port.audit()
        assert (whole[0], counts.evidence_whole, counts.evidence_missing) == (301, 6, 0)
        port.restore(backup)
        assert port.held() == (201 if backup else 0)
        async with port.serving(), port.sending(ledger):
            await until(lambda: port.held() == 301)
            await all_is_there(port, ledger)
        assert port.root(ledger) == whole
        assert port.audit() == counts
        assert ledger.outbox.tree(301).root() == whole[1]


async def test_what_the_booth_keeps_no_more_is_a_gap_that_both_sides_name(
    port: RealPort, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(housekeeping, "measure", lambda *_: StorageLevel(StorageState.NORMAL, 1, 100))
    clock, booth = HandClock(), port.site.booth
    async with booth.open(clock=clock, keeping=Keeping(10 * 86_400.0)) as ledger:
        await record(ledger, 0, 9)
        async with port.serving(), port.sending(ledger):
            await all_is_there(port, ledger)
            for seconds in (10 * 86_400.0, 3_600.0):
                clock.forward(seconds)
                await record(ledger, 1, 1)
                await all_is_there(port, ledger)
            clock.forward(3_600.0)
            await record(ledger, 1, 1)
            await until(lambda: ledger.outbox.kept().trimmed_seq >= 10)
            await all_is_there(port, ledger)
        oldest = ledger.outbox.extent().oldest
        port.restore(None)
        port.links.clear()
        async with port.serving(), port.sending(ledger):
            await until(lambda: REFUSED in [state for state, _ in port.links])
            assert "GAP" in port.links[0][1]
            assert f"holds nothing before {oldest}" in port.links[0][1]
            await until(lambda: ledger.outbox.acked_through() == 0)  # what is left here stays
    assert port.held() == 0
    assert port.rows("SELECT code, seq FROM alarm") == [("GAP", 1)]
    config = port.folder / "gateway.yaml"
    config.write_text("identity: {key: keys/gateway.key, certificate: keys/gateway.crt}\nlisten: x:1\ndata: data\n")
    assert await asyncio.to_thread(main, ["verify", str(config)]) == 0
    assert f"GAP: the booth holds nothing before {oldest}, and the port nothing" in capsys.readouterr().out


async def test_another_event_at_a_held_sequence_is_a_fork_and_nothing_is_overwritten(port: RealPort) -> None:
    booth = port.site.booth
    async with booth.open() as ledger:
        await record(ledger, 1, 5)
    twin = copy.copy(booth)
    twin.directory = Path(shutil.copytree(booth.directory, port.folder / "twin"))
    async with booth.open() as ledger:
        await record(ledger, 6, 2)
        async with port.serving(), port.sending(ledger):
            await all_is_there(port, ledger)
        held = port.rows("SELECT seq, envelope FROM event ORDER BY cursor")
    port.links.clear()
    async with twin.open() as forked:
        await record(forked, 6, 5)
        async with port.serving(), port.sending(forked):
            await until(lambda: FORKED in [state for state, _ in port.links])
            assert forked.outbox.acked_through() == 0
    assert port.rows("SELECT seq, envelope FROM event ORDER BY cursor") == held


# --- quarantine -------------------------------------------------------------------------------------------------------
async def test_the_booth_is_told_what_the_port_cannot_read(
    port: RealPort, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    understood = verify._parse

    def older(payload: bytes) -> Event:
        event = understood(payload)
        if event.alarm_raised.counts == [13]:
            raise Refused(RefusalCode.MALFORMED_EVENT, "of a newer kind", event.seq)
        return event

    def noted() -> list[tuple[int, str, str]]:
        status = ledger_status(port.site.booth.directory, None, 0)["quarantined_at_port"]
        return [(one["seq"], one["code"], one["detail"]) for one in status]

    async with port.site.booth.open() as ledger:
        monkeypatch.setattr(verify, "_parse", older)
        for n in (11, 12, 13, 14):
            await ledger.recorder.record(alarm(n))
        assert noted() == []
        async with port.serving(), port.sending(ledger):
            await all_is_there(port, ledger)
            await until(lambda: noted() == [(4, "MALFORMED_EVENT", "of a newer kind")])
            assert "the port keeps event 4 in quarantine: MALFORMED_EVENT: of a newer kind" in caplog.text
            assert {state for state, _ in port.links} == {UP}
        async with port.serving(), port.sending(ledger):  # a booth that starts anew learns it from the welcome
            await until(lambda: len(port.links) == 2)
            assert noted() == [(4, "MALFORMED_EVENT", "of a newer kind")]
        monkeypatch.setattr(verify, "_parse", understood)
        with contextlib.closing(Store(port.settings().database)) as store:
            (outcome,) = release(store, [], 0)
        assert outcome.released_cursor == 6
        async with port.serving(), port.sending(ledger):
            await until(lambda: noted() == [])

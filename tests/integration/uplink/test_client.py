import asyncio
import logging
import socket
import time
from typing import Any

import pytest

from edge_agent.domain.errors import IdentityInvalid, StoreCorrupt
from edge_agent.domain.event import AlarmRaised, Draft
from edge_agent.domain.observation import RadiationKind
from edge_agent.ledger.recorder import Ledger
from edge_agent.uplink.link import LinkState
from edge_agent.wire.identity import SpiffeId, create_identity
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from tests.integration.ledger.conftest import AT, Booth, alarm, picture
from tests.integration.uplink.conftest import NOW, Site, said, until

UP, DOWN, REFUSED, FORKED = LinkState.UP, LinkState.DOWN, LinkState.REFUSED, LinkState.FORKED


async def record(ledger: Ledger, count: int) -> None:
    await asyncio.gather(*(ledger.recorder.record(alarm(n)) for n in range(count)))


async def test_all_events_arrive_verified_and_their_acknowledgement_is_kept(site: Site) -> None:
    async with site.booth.open() as ledger:
        await record(ledger, 1500)
        port = site.new_port(ledger)
        async with site.serving(port), site.sending(ledger):
            await until(lambda: len(port.held) == 1501)
            await record(ledger, 10)
            await until(lambda: ledger.outbox.acked_through() == 1511)
        assert port.chain.head == ledger.recorder.head
        assert site.states() == [UP]
        (hello,) = port.hellos
        assert (hello.booth_id, hello.oldest_seq, hello.newest_seq) == (ledger.outbox.booth_id, 1, 1501)


async def test_a_new_event_is_on_its_way_at_once(site: Site) -> None:
    async with site.booth.open() as ledger:
        port = site.new_port(ledger)
        async with site.serving(port), site.sending(ledger):
            await until(lambda: len(port.held) == 1)
            best = 9.0
            for n in range(2, 12):
                begun = time.monotonic()
                await record(ledger, 1)
                await until(lambda n=n: len(port.held) == n)  # type: ignore[misc]
                best = min(best, time.monotonic() - begun)
            assert best < 0.25


async def test_it_resumes_where_the_port_stands_whatever_it_does(site: Site) -> None:
    async with site.booth.open() as ledger:
        await record(ledger, 2000)
        port = site.new_port(ledger, drop_after=300, slow_s=0.01)
        async with site.serving(port), site.sending(ledger):
            await until(lambda: len(port.hellos) == 2)
            port.drop_after = port.received + 300
            await until(lambda: len(port.hellos) == 3)
            port.close_after = 1
            await until(lambda: len(port.hellos) >= 5)
            port.close_after = None
            await until(lambda: ledger.outbox.acked_through() == 2001)
        assert port.chain.head == ledger.recorder.head


async def test_a_gateway_that_goes_and_comes_is_told_once_each(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edge_agent.uplink")
    async with site.booth.open() as ledger:
        port = site.new_port(ledger)
        async with site.serving(port), site.sending(ledger):
            await until(lambda: len(port.held) == 1)
        site.links.clear()
        caplog.clear()
        async with site.sending(ledger):
            await until(lambda: site.states() == [DOWN])
            await record(ledger, 20)
            await asyncio.sleep(0.5)  # several attempts
            assert site.states() == [DOWN]
            async with site.serving(port):
                await until(lambda: len(port.held) == 21)
                await until(lambda: site.states() == [DOWN, UP])
            await until(lambda: site.states() == [DOWN, UP, DOWN])
            async with site.serving(port):
                await until(lambda: site.states() == [DOWN, UP, DOWN, UP])
        assert [r.levelname for r in said(caplog)] == ["WARNING", "INFO", "WARNING", "INFO"]
        assert "PRIVATE KEY" not in caplog.text


async def test_a_port_without_a_welcome_is_given_up(site: Site) -> None:
    async with site.booth.open() as ledger:
        port = site.new_port(ledger, mute=True)
        async with site.serving(port), site.sending(ledger, connect_s=0.5):
            await until(lambda: len(port.hellos) == 2)
            assert site.links[0][0] is DOWN
            assert "no welcome" in site.links[0][1]
            port.mute = False
            await until(lambda: len(port.held) == 1)


async def test_a_port_that_went_back_is_offered_all_evidence_again(site: Site) -> None:
    async with site.booth.open() as ledger:
        await ledger.recorder.record(alarm(1, picture(100)))
        [piece] = ledger.outbox.pending_blobs(0, 10)
        async with site.serving(site.new_port(ledger)), site.sending(ledger):
            await until(lambda: ledger.outbox.acked_through() == 2)
            ledger.outbox.blob_sent(piece.sha256)
            await until(lambda: not ledger.outbox.pending_blobs(0, 10))
        woken = asyncio.Event()
        ledger.recorder.notify(woken.set)
        restored = site.new_port(ledger)
        async with site.serving(restored), site.sending(ledger):
            await until(lambda: len(restored.held) == 2)
            await until(lambda: ledger.outbox.pending_blobs(0, 10) == [piece])
            await until(woken.is_set)


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ({"silent": True}, 0),  # restored empty
        ({"first": wire.StreamEventsResponse(nack=wire.Nack(seq=2, code=wire.REFUSAL_CODE_GAP))}, 1),
        ({"first": wire.StreamEventsResponse(nack=wire.Nack(code=wire.REFUSAL_CODE_GAP))}, 0),
        ({"first": wire.StreamEventsResponse(nack=wire.Nack(seq=2**64 - 1, code=wire.REFUSAL_CODE_GAP))}, 3),
    ],
    ids=["empty", "gap", "gap at nothing", "gap beyond the ledger"],
)
async def test_what_a_port_lost_is_no_longer_acknowledged(site: Site, answer: dict[str, Any], left: int) -> None:
    async with site.booth.open() as ledger:
        await record(ledger, 2)
        async with site.serving(site.new_port(ledger)), site.sending(ledger):
            await until(lambda: ledger.outbox.acked_through() == 3)
        await record(ledger, 1)
        restored = site.new_port(ledger, **answer)
        async with site.serving(restored), site.sending(ledger):
            await until(lambda: bool(site.states()[1:]))
            await until(lambda: ledger.outbox.acked_through() == left)


async def test_a_socket_that_never_speaks_is_given_up(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        site.address = f"127.0.0.1:{deaf.getsockname()[1]}"
        async with site.booth.open() as ledger, site.sending(ledger, connect_s=0.3):
            await until(lambda: site.states() == [DOWN])


@pytest.mark.parametrize("beats", [False, True])
async def test_a_port_that_takes_and_never_acknowledges_is_dialled_again(site: Site, beats: bool) -> None:
    async with site.booth.open() as ledger:
        await record(ledger, 10)
        port = site.new_port(ledger, silent=True, beats=beats)
        async with site.serving(port), site.sending(ledger, no_ack_s=0.4):
            await until(lambda: DOWN in site.states())
            assert site.states()[:2] == [UP, DOWN]
            assert "no acknowledgement" in site.links[1][1]
            assert "11 events in flight" in site.links[1][1]
            port.silent = False
            await until(lambda: ledger.outbox.acked_through() == 11)  # from the next welcome


async def test_heartbeats_keep_a_stream_without_news_open(site: Site) -> None:
    async with site.booth.open() as ledger:
        port = site.new_port(ledger, beats=True)
        async with site.serving(port), site.sending(ledger, no_ack_s=0.5):
            await until(lambda: ledger.outbox.acked_through() == 1)
            await asyncio.sleep(1.5)
            assert site.states() == [UP]


async def test_a_port_that_falls_silent_is_dialled_again(site: Site) -> None:
    async with site.booth.open() as ledger:
        port = site.new_port(ledger)
        async with site.serving(port), site.sending(ledger, no_ack_s=0.3):
            await until(lambda: ledger.outbox.acked_through() == 1)
            await until(lambda: len(port.hellos) == 2)
            assert "no acknowledgement" in site.links[1][1]


async def test_only_what_the_credit_allows_is_in_flight(site: Site) -> None:
    async with site.booth.open() as ledger:
        await record(ledger, 100)
        port = site.new_port(ledger, silent=True, welcome={"window_records": 7})
        async with site.serving(port), site.sending(ledger):
            await until(lambda: port.received == 7)
            await asyncio.sleep(0.3)
            assert port.received == 7


async def test_a_refusal_is_told_and_asked_again_slowly(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    async with site.booth.open() as ledger:
        await record(ledger, 2000)
        nack = wire.Nack(seq=1, code=wire.REFUSAL_CODE_UNKNOWN_KEY, detail="no such key")
        port = site.new_port(ledger, refuse=nack)
        async with site.serving(port), site.sending(ledger):
            await until(lambda: REFUSED in site.states())
            assert site.states() == [UP, REFUSED]
            assert "UNKNOWN_KEY: no such key" in site.links[1][1]
            assert [r.levelname for r in said(caplog)] == ["ERROR"]
            asked = len(port.hellos)
            await asyncio.sleep(0.7)
            assert len(port.hellos) - asked <= 2
            assert ledger.outbox.acked_through() == 0
            port.refuse = None
            await until(lambda: ledger.outbox.acked_through() == 2001)
        assert port.chain.head == ledger.recorder.head


async def test_a_refusal_in_the_middle_of_much_sending_is_not_lost(site: Site) -> None:
    nack = wire.Nack(seq=1, code=wire.REFUSAL_CODE_OVERSIZED, detail="too large")
    credit = {"window_records": 100_000, "window_bytes": 1 << 30}
    async with site.booth.open() as ledger:
        large = Draft(AlarmRaised("", "lane-1", "portal", RadiationKind.GAMMA, (1,), bytes(4096)), AT)
        await asyncio.gather(*(ledger.recorder.record(large) for _ in range(1000)))
        port = site.new_port(ledger, refuse=nack, welcome=credit)
        async with site.serving(port), site.sending(ledger, refused_retry_s=0.05):
            await until(lambda: len(port.hellos) >= 8)
            assert DOWN not in site.states()
            assert "OVERSIZED" in site.links[1][1]


@pytest.mark.parametrize(
    ("first", "state", "message"),
    [
        (wire.StreamEventsResponse(nack=wire.Nack(code=wire.REFUSAL_CODE_NOT_TRUSTED)), REFUSED, "NOT_TRUSTED"),
        (wire.StreamEventsResponse(ack=wire.Ack(durable_through=1)), REFUSED, "no welcome"),
        (wire.StreamEventsResponse(), DOWN, "ended the stream"),
    ],
)
async def test_a_first_answer_that_is_no_welcome(
    site: Site, first: wire.StreamEventsResponse, state: LinkState, message: str
) -> None:
    async with site.booth.open() as ledger:
        port = site.new_port(ledger, first=first)
        async with site.serving(port), site.sending(ledger):
            await until(lambda: site.states() == [state])
            assert message in site.links[0][1]
            port.first = None
            await until(lambda: len(port.held) == 1)


async def test_a_booth_that_is_not_registered_learns_why(site: Site) -> None:
    async with site.booth.open() as ledger:
        port = site.new_port(ledger, deny=True)
        async with site.serving(port), site.sending(ledger):
            await until(lambda: site.states() == [REFUSED])
            assert "not registered" in site.links[0][1]
            assert "certificate registered" in site.links[0][1]
            port.deny = False
            await until(lambda: len(port.held) == 1)


async def test_a_forked_chain_stops_the_sending(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    async with site.booth.open() as ledger:
        await record(ledger, 10)
        port = site.new_port(ledger, welcome={"durable_through": 5, "chain_head": b"x" * 32})
        async with site.serving(port), site.sending(ledger) as task:
            await until(lambda: len(port.hellos) == 2)
            assert site.states() == [FORKED]
            assert "FORK at sequence 5" in caplog.text
            assert port.received == 0
            assert not task.done()
            assert (await ledger.recorder.record(alarm(1))).seq == 12  # the lane goes on
            assert ledger.outbox.acked_through() == 0


async def test_another_hash_in_an_acknowledgement_stops_the_sending(site: Site) -> None:
    async with site.booth.open() as ledger:
        port = site.new_port(ledger, lie_in_acks=True)
        async with site.serving(port), site.sending(ledger):
            await until(lambda: FORKED in site.states())
            assert ledger.outbox.acked_through() == 0


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({"lie_in_acks": True}, FORKED),
        ({"refuse": wire.Nack(seq=1, code=wire.REFUSAL_CODE_FORK)}, FORKED),
        ({"refuse": wire.Nack(seq=1, code=wire.REFUSAL_CODE_UNKNOWN_KEY)}, REFUSED),
    ],
    ids=["another hash", "fork", "unknown key"],
)
async def test_a_port_that_stops_is_heard_when_it_refuses(site: Site, answer: dict[str, Any], state: LinkState) -> None:
    async with site.booth.open() as ledger:
        port = site.new_port(ledger, drain=True, **answer)
        async with site.serving(port), site.sending(ledger, refused_retry_s=60.0):
            async with asyncio.timeout(5):
                await until(lambda: site.states() == [UP, state])
            await asyncio.sleep(0.2)
            assert len(port.hellos) == 1, "not dialled again before a person could look"
            assert ledger.outbox.acked_through() == 0


async def test_a_port_that_says_that_it_stops_and_stays_is_left(site: Site) -> None:
    """Its heartbeats say nothing new: the booth has half-closed, and sends on the next stream."""
    async with site.booth.open() as ledger:
        port = site.new_port(ledger, drain=True, beats=True)
        async with site.serving(port), site.sending(ledger, no_ack_s=0.3):
            await until(lambda: ledger.outbox.acked_through() == 1)
            port.drain = False
            await record(ledger, 1)
            async with asyncio.timeout(5):
                await until(lambda: ledger.outbox.acked_through() == 2)
        assert site.states() == [UP]


async def test_a_ledger_that_went_back_ends_the_agent(site: Site) -> None:
    async with site.booth.open() as ledger:
        port = site.new_port(ledger, welcome={"durable_through": 99, "chain_head": b"x" * 32})
        async with site.serving(port), site.sending(ledger) as task:
            with pytest.raises(StoreCorrupt, match="up to sequence 99, and here it ends at 1"):
                await asyncio.wait_for(task, 30)
        assert port.received == 0


async def test_a_gateway_with_another_certificate_gets_nothing(site: Site) -> None:
    create_identity(
        site.keys, "pretender", SpiffeId.parse("spiffe://uslrd/gateway/main"), NOW, ("localhost", "127.0.0.1")
    )
    async with site.booth.open() as ledger:
        port = site.new_port(ledger)
        async with (
            site.serving(port),
            site.sending(ledger, gateway_certificate=site.keys / "pretender.crt"),
        ):
            await until(lambda: site.states() == [DOWN])
            await asyncio.sleep(0.3)
            assert port.hellos == []


async def test_a_booth_that_the_gateway_does_not_know_cannot_connect(site: Site) -> None:
    other = Booth(site.keys, site.booth.directory, name="lane-2")
    async with site.booth.open() as ledger:
        port = site.new_port(ledger)
        async with site.serving(port, trusted=other.keys / "lane-2.crt"), site.sending(ledger):
            await until(lambda: site.states() == [DOWN])
            await asyncio.sleep(0.3)
            assert port.hellos == []


async def test_the_certificate_of_a_booth_is_no_gateway(site: Site) -> None:
    settings = site.settings(gateway_certificate=site.booth.keys / "lane-1.crt")
    with pytest.raises(IdentityInvalid, match="is no gateway"):
        site.port(settings).check()
    with pytest.raises(IdentityInvalid, match="cannot be read"):
        site.port(site.settings(gateway_certificate=site.keys / "none.crt")).check()
    assert site.port(site.settings()).check() == "127.0.0.1"
    assert site.port(site.settings(gateway="10.1.2.3:1")).check() == "localhost"

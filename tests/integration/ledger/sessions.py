"""What a ledger's chain says of its sessions."""

import contextlib

import apsw

from edge_agent.ledger.recorder import Ledger
from edge_agent.ledger.store import DATABASE
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import key_id, load_public_key
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from tests.integration.ledger.conftest import Booth, HandClock, alarm, until

DAY_S = 86_400.0


def events(ledger: Ledger) -> list[tuple[wire.Event, str]]:
    """Each with the id of the key that signed it."""
    envelopes = [read_envelope(e) for e in ledger.outbox.after(0, 10_000, 10**8)]
    return [(wire.Event.FromString(payload), signature.keyid) for payload, signature in envelopes]


def openings(ledger: Ledger) -> list[wire.Event]:
    return [event for event, _ in events(ledger) if event.WhichOneof("body") == "session_opened"]


def states(ledger: Ledger) -> list[str]:
    said = [event.device_changed for event, _ in events(ledger) if event.WhichOneof("body") == "device_changed"]
    assert {(one.device_id, one.lane_id) for one in said} <= {("device-key", "")}
    return [wire.DeviceState.Name(one.status.state).rpartition("_")[2] + " " + one.status.detail for one in said]


def wake(ledger: Ledger) -> None:
    """The ledger looks at its session, though nothing is recorded."""
    ledger.recorder._queue.put(None)


async def nudge(ledger: Ledger, number: int = 0) -> int:
    """An event, after which the ledger looks at its session."""
    return (await ledger.recorder.record(alarm(number))).seq


async def looked(ledger: Ledger) -> None:
    """The ledger has looked after everything that was recorded."""
    for _ in range(2):
        await nudge(ledger)


async def signed(ledger: Ledger) -> None:
    """What the device key signed, or did not, is dealt with."""
    await until(lambda: ledger.recorder._next._attempt is None)


async def grown_old(ledger: Ledger, clock: HandClock, sessions: int) -> None:
    clock.forward(DAY_S)
    wake(ledger)
    await until(lambda: len(openings(ledger)) == sessions)


def signed_by_their_sessions(ledger: Ledger, device: str) -> None:
    session = ""
    for event, keyid in events(ledger):
        if event.WhichOneof("body") == "session_opened":
            assert keyid == device
            session = key_id(load_public_key(event.session_opened.public_key))
        else:
            assert keyid == session, event.seq


def checkpointed(booth: Booth) -> int:
    """The size of the newest checkpoint; `verify_ledger` looks at its signature."""
    with contextlib.closing(apsw.Connection(str(booth.directory / DATABASE))) as database:
        size = database.execute("SELECT max(size) FROM checkpoint").get
    assert isinstance(size, int)
    return size


async def until_opened(ledger: Ledger, sessions: int) -> None:
    wake(ledger)
    await until(lambda: len(openings(ledger)) == sessions)

"""`edge-agent keys rotate`: the ledger is handed over to a new device key, by an event that both keys sign.

    prepare the new pair ─► KeyRotated in the ledger ─► (the agent, at its next start) session by the new key
                                                        ─► the port has it, and takes the new certificate: in force

Whatever is interrupted goes on where it was: before the event the old key signs, after it the new one.
"""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from edge_agent.config import Setup
from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import IdentityInvalid
from edge_agent.domain.event import Draft
from edge_agent.ledger.handover import handed_over, handover
from edge_agent.ledger.recorder import open_ledger
from edge_agent.ledger.store import DATABASE
from edge_agent.wire.identity import key_id


@dataclass(frozen=True, slots=True)
class Rotation:
    """The keys' ids; `seq` is where the ledger says so, 0 when it had said so before."""

    old: str
    new: str
    seq: int


async def rotate(setup: Setup, clock: Clock, agent_version: str) -> Rotation:
    """Hand the booth's ledger over to a new key. The agent must be stopped: the ledger has one writer.

    Raises IdentityInvalid, TokenUnavailable, and what `open_ledger` raises.
    """
    _as_its_owner(setup.ledger)
    identity = setup.identity()
    identity.settle()
    before = handed_over(setup.ledger / DATABASE)
    old = identity.current().key.key_id
    waiting = identity.prepared()
    if waiting is not None and before is not None and before.key == waiting.key.key_id:
        return Rotation(old, before.key, 0)
    signer = identity.signer(before)
    new = identity.prepare(setup.booth, clock.now().utc)
    opened = open_ledger(
        setup.ledger,
        str(setup.booth),
        signer,
        clock,
        agent_version,
        _no_word,
        device_keys=identity.device_keys(),
    )
    async with opened as ledger:
        body = handover(str(setup.booth), ledger.recorder.head.epoch, key_id(signer.public_key), new)
        done = await ledger.recorder.record(Draft(body, clock.now()))
    return Rotation(old, new.key.key_id, done.seq)


def _as_its_owner(ledger: Path) -> None:
    """A key made by another user could not be read by the agent. Raises IdentityInvalid."""
    if not ledger.exists() or (owner := ledger.stat().st_uid) == os.geteuid():
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = str(owner)
    raise IdentityInvalid(
        f"{ledger} belongs to user {name}, who could not read a key that another user makes",
        f"run this as that user: runuser -u {name} -- edge-agent keys rotate …",
    )


def _no_word(has_room: bool, detail: str) -> None:
    """Without room nothing is recorded until there is some; whoever waits sees the full disk."""

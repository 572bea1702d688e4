"""`port-gateway tail`: what a back-office receives, shown as it comes."""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

from edge_agent.domain.errors import PortUnreachable
from edge_agent.wire.refused import Refused
from port_gateway.client import Deleted, InQuarantine, PortStops, Received, Subscription, connected
from port_gateway.describe import event_json, event_text
from port_gateway.moments import moment

OK, NOT_VERIFIED = 0, 1
BACK_OFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Tail:
    """Where to read, from where on, and when to end."""

    gateway: str
    gateway_certificate: Path
    key: Path
    certificate: Path
    name: str = ""
    after: int | None = None
    after_place: bytes = b""
    limit: int | None = None
    follow: bool = False
    wait_s: float = 3.0


class Printer:
    """Writes each event to standard output, as text or as one JSON object a line."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def show(self, received: Received | InQuarantine | Deleted) -> None:
        if isinstance(received, Deleted):
            self._show_deleted(received)
            return
        if isinstance(received, InQuarantine):
            self._show_unread(received)
            return
        event = received.verified.event
        if self._as_json:
            facts = {
                "cursor": received.cursor,
                "place": received.place.hex(),
                "booth_id": received.booth_id,
                "seq": event.seq,
                "epoch": event.epoch.hex(),
                "sha256": received.verified.sha256.hex(),
                "verified": True,
                "event": event_json(event),
            }
            if received.released_from:
                facts["released_from"] = received.released_from
            line = json.dumps(facts)
        else:
            booth = received.booth_id.rpartition("/")[2]
            line = f"{received.cursor:>8}  {booth} #{event.seq}  {event_text(event)}"
            if received.released_from:
                line += f"  (out of quarantine; was cursor {received.released_from})"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def _show_unread(self, unread: InQuarantine) -> None:
        linked = unread.linked
        if self._as_json:
            facts = {
                "cursor": unread.cursor,
                "place": unread.place.hex(),
                "booth_id": unread.booth_id,
                "seq": linked.seq,
                "epoch": linked.chain.head.epoch.hex(),
                "sha256": linked.sha256.hex(),
                "verified": True,
                "quarantined": unread.code.name,
            }
            line = json.dumps(facts)
        else:
            booth = unread.booth_id.rpartition("/")[2]
            line = f"{unread.cursor:>8}  {booth} #{linked.seq}  IN QUARANTINE at the port: {unread.code.name}"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def _show_deleted(self, gone: Deleted) -> None:
        day = moment(gone.deleted_utc_us)
        if self._as_json:
            facts = {
                "cursor": gone.cursor,
                "place": gone.place.hex(),
                "booth_id": gone.booth_id,
                "seq": gone.head.seq,
                "epoch": gone.head.epoch.hex(),
                "sha256": gone.head.sha256.hex(),
                "verified": False,  # its place is; of its bytes nobody can say any more
                "deleted": day,
                "rule": gone.rule,
            }
            line = json.dumps(facts)
        else:
            booth = gone.booth_id.rpartition("/")[2]
            line = f"{gone.cursor:>8}  {booth} #{gone.head.seq}  deleted under retention on {day}: {gone.rule}"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def refused(self, refused: Refused) -> None:
        if self._as_json:
            facts = {"verified": False, "code": refused.code.name, "seq": refused.seq, "detail": refused.detail}
            sys.stdout.write(json.dumps(facts) + "\n")
            sys.stdout.flush()
        sys.stderr.write(f"port-gateway: NOT VERIFIED: {refused}\n")


async def tail(wanted: Tail, printer: Printer) -> int:
    """Show events until the limit, the end, or the first that does not verify. Raises PortUnreachable, PortRefused."""
    failures = 0
    while True:
        try:
            async for received in _read(wanted):
                failures = 0
                printer.show(received)
                limit = None if wanted.limit is None else wanted.limit - 1
                wanted = replace(wanted, after=received.cursor, after_place=received.place, limit=limit)
            return OK
        except Refused as refused:
            printer.refused(refused)
            return NOT_VERIFIED
        except PortUnreachable as error:
            if not wanted.follow:
                raise
            if isinstance(error, PortStops):
                delay = error.after_s + random.uniform(0, max(error.after_s, 1.0))  # noqa: S311 - no secret
                sys.stderr.write(f"port-gateway: the port is stopping, connecting again in {delay:.0f} s\n")
                await asyncio.sleep(delay)
                continue
            if failures == 0:
                sys.stderr.write(f"port-gateway: cut off, connecting again: {error.wrong}\n")
            await asyncio.sleep(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
            failures += 1


async def _read(wanted: Tail) -> AsyncIterator[Received | InQuarantine | Deleted]:
    async with (
        connected(wanted.gateway, wanted.gateway_certificate, wanted.key, wanted.certificate) as stub,
        Subscription(stub, wanted.name, wanted.after, wanted.after_place) as subscription,
    ):
        left = wanted.limit
        while left is None or left > 0:
            received = await subscription.next(None if wanted.follow else wanted.wait_s)
            if received is None:
                break
            yield received
            # Only now: what was not shown is sent again.
            await subscription.ack(received.cursor)
            left = None if left is None else left - 1
        await subscription.done()

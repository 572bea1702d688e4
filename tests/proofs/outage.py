"""72 hours without a link: python -m tests.proofs.outage --events 1000000 --files 20000 --restarts 5

The booth is a process of its own with the agent's ledger, uplink and evidence uplink, at their ordinary settings but
for the evidence's rate and a shorter back-off. The gateway is killed in the middle of its stream. Then the booth's
clock is stepped: events and files of 72 hours come as fast as the disk takes them, while the uplink tries the dead
link, and the booth is killed and started again some times. Then the gateway is back, and live events go on at an even
pace while the backlog drains.

Told are, of the live events, the time until the ledger has one (accepted) and until the port has acknowledged it; the
backlog's drain; the largest resident size. What must hold: the port has every event in its order from the beginning of
the outage on, and every file; resident size and the time to acceptance are bounded.

One chain is sent in its order, so that a live event is at the port only behind the backlog: that wait is told, and has
no bound but the drain's.

A run that is cut off goes on where it was: its site stays in soak-run/, and how often it was taken up is told.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from edge_agent.demo.processes import Program, program
from edge_agent.domain.clock import Instant, SystemClock
from edge_agent.domain.event import Draft
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.housekeeping import Keeping
from edge_agent.ledger.identity import BoothIdentity
from edge_agent.ledger.recorder import Ledger, open_ledger
from edge_agent.ledger.signer import open_signer
from edge_agent.uplink.client import Uplink
from edge_agent.uplink.evidence import EvidenceUplink
from edge_agent.uplink.link import Port, UplinkSettings
from edge_agent.wire.identity import certificate_key, key_id, load_certificate
from port_gateway.audit import audit
from port_gateway.config import read_config
from tests.e2e.port import Site
from tests.integration.ledger.conftest import alarm, picture
from tests.proofs.faults import plant
from tests.proofs.nursery import end_with_parent, serving
from tests.proofs.progress import FOLDER

HOURS = 72.0
BOOTH = "spiffe://uslrd/booth/lane-1"
TOGETHER = 64
LIVE_A_SECOND = 20.0
FILE_BYTES = 20_000
MAX_RSS = 250_000_000
MAX_ACCEPT_S = 2.0
PATIENCE_S = 6 * 3600.0


class Wrong(AssertionError):
    """What must not be."""


@dataclass
class Figures:
    """Times in seconds, sizes in bytes."""

    backlog: int = 0
    files: int = 0
    restarts: int = 0
    taken_up: int = 0  # how often the whole run was cut off: times of the drain are those of its last part
    recorded_s: float = 0.0
    drained_s: float = 0.0
    evidence_s: float = 0.0
    live: int = 0
    accepted_p50: float = 0.0
    accepted_p99: float = 0.0
    accepted_max: float = 0.0
    behind_p99: float = 0.0  # from acceptance to the port's acknowledgement, behind the backlog
    after_p99: float = 0.0  # likewise, when the backlog was drained
    rss: int = 0

    def __str__(self) -> str:
        return (
            f"{self.backlog} events and {self.files} files of {HOURS:g} h without a link ({self.restarts} restarts, "
            f"the run cut off {self.taken_up} times, recorded in {self.recorded_s:.0f} s) "
            f"drained in {self.drained_s:.1f} s, files in {self.evidence_s:.1f} s; {self.live} live events meanwhile: "
            f"accepted in p50 {self.accepted_p50 * 1e3:.1f} ms, p99 {self.accepted_p99 * 1e3:.1f} ms, "
            f"at most {self.accepted_max * 1e3:.0f} ms; acknowledged by the port "
            f"p99 {self.behind_p99:.1f} s behind the backlog, {self.after_p99 * 1e3:.0f} ms after it; "
            f"agent's resident size at most {self.rss / 1e6:.0f} MB"
        )


@dataclass(frozen=True)
class Order:
    """What a booth's process is told."""

    folder: str
    address: str
    events: int
    files: int
    without: str = ""
    patience_s: float = PATIENCE_S

    def booth(self, first: int) -> AbstractAsyncContextManager[Program]:
        """It records on from event number `first`; with the last, it goes on with live ones."""
        log = Path(self.folder) / "logs" / "booth.log"
        return program("booth", log, "tests.proofs.outage", "booth", json.dumps(asdict(self)), str(first))


class SteppedClock:
    """The machine's clock, and what was stepped over."""

    def __init__(self, stepped_s: float) -> None:
        self._real, self.stepped_s = SystemClock(), stepped_s

    def now(self) -> Instant:
        now = self._real.now()
        utc = now.utc + timedelta(seconds=self.stepped_s)
        return replace(now, utc=utc, monotonic_ns=now.monotonic_ns + round(self.stepped_s * 1e9))

    def monotonic(self) -> float:
        return self._real.monotonic() + self.stepped_s


# --- the booth's process ------------------------------------------------------------------------------------------


def _draft(number: int, files: int, events: int, clock: SteppedClock) -> Draft:
    every = max(1, events // files) if files else 0
    evidence = (picture(FILE_BYTES // 8, b"%08d" % number),) if every and number % every == 0 else ()
    made = alarm(number % 1_000_000, *evidence)
    return Draft(made.body, clock.now(), made.evidence)


async def _record(ledger: Ledger, first: int, events: int, files: int, clock: SteppedClock) -> None:
    """The outage's events from number `first` on."""
    step = HOURS * 3600 / events
    for begin in range(first, events, TOGETHER):
        clock.stepped_s = begin * step
        numbers = range(begin, min(begin + TOGETHER, events))
        await asyncio.gather(*(ledger.recorder.record(_draft(n, files, events, clock)) for n in numbers))
        if begin // TOGETHER % 16 == 0:
            _say(recorded=numbers.stop, seq=ledger.recorder.head.seq, rss=_rss())
    _say(recorded=events, seq=ledger.recorder.head.seq, rss=_rss())


async def _live(ledger: Ledger, backlog: int, figures: Figures, patience_s: float) -> None:
    """An even pace of events until the backlog is with the port and for a hundred events after it."""
    accepted: list[float] = []
    waiting: list[tuple[int, float]] = []
    behind, after = list[float](), list[float]()
    began, drained, number = time.monotonic(), 0.0, 0
    while len(after) < 100:
        due = began + number / LIVE_A_SECOND
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        at = time.monotonic()
        if not drained and at > began + patience_s:
            raise Wrong(f"the port has {ledger.outbox.acked_through()} of {backlog} events after {patience_s:g} s")
        recorded = await ledger.recorder.record(alarm(number))
        accepted.append(time.monotonic() - at)
        waiting.append((recorded.seq, time.monotonic()))
        number += 1
        for _ in range(20):  # the cursor is looked at often enough to time an acknowledgement
            through, now = ledger.outbox.acked_through(), time.monotonic()
            if not drained and through >= backlog:
                drained = now - began
            while waiting and waiting[0][0] <= through:
                _, since = waiting.pop(0)
                (after if drained and since > began + drained else behind).append(now - since)
            if not drained or not waiting:
                break
            await asyncio.sleep(0.002)
        figures.rss = max(figures.rss, _rss())
    figures.live, figures.drained_s = number, drained
    figures.accepted_p50, figures.accepted_p99 = _share(accepted, 0.5), _share(accepted, 0.99)
    figures.accepted_max = max(accepted)
    figures.behind_p99, figures.after_p99 = _share(behind, 0.99), _share(after, 0.99)
    while ledger.outbox.pending_blobs(0, 1):
        await asyncio.sleep(0.05)
        figures.rss = max(figures.rss, _rss())
    figures.evidence_s = time.monotonic() - began
    while ledger.outbox.acked_through() < ledger.recorder.head.seq:
        await asyncio.sleep(0.01)


def _share(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)] if values else 0.0


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


async def _be_booth(order: "Order", first: int) -> None:
    folder, events, files = Path(order.folder), order.events, order.files
    clock, keys = SteppedClock(HOURS * 3600 * first / events), folder / "keys"
    settings = UplinkSettings(
        gateway=order.address,
        gateway_certificate=keys / "gateway.crt",
        evidence_bytes_per_s=200 * 1024 * 1024,
        back_off_max_s=2.0,
    )
    port = Port(settings, BoothIdentity(str(keys / "booth.key"), keys / "booth.crt"))
    signer = open_signer(f"file:{keys / 'booth.key'}")
    opened = open_ledger(folder / "ledger", BOOTH, signer, clock, "outage", lambda *_: None, keeping=Keeping())
    async with opened as ledger, asyncio.TaskGroup() as group:
        uplinks = (
            Uplink(settings, port, ledger.outbox, clock, "outage", lambda *_: None),
            EvidenceUplink(settings, port, ledger.outbox, clock, lambda *_: None),
        )
        for uplink in uplinks:
            ledger.recorder.notify(uplink.wake)
        sending = [group.create_task(uplink.run(), name="uplink") for uplink in uplinks]
        if first == events:
            figures = Figures(backlog=ledger.recorder.head.seq)
            _say(ready=True)
            await _live(ledger, figures.backlog, figures, order.patience_s)
            _say(**asdict(figures))
        else:
            await _record(ledger, first, events, files, clock)
        for task in sending:
            task.cancel()


# --- the proof ----------------------------------------------------------------------------------------------------


@dataclass
class Stage:
    """How far the outage has come: kept in the site's folder, for a run that is cut off."""

    recorded: int = 0  # events of which the ledger has said that it has them
    restarts: int = 0
    taken_up: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, folder: Path) -> "Stage":
        path = folder / "stage.json"
        return cls(**json.loads(path.read_text())) if path.exists() else cls()

    def note(self, folder: Path) -> None:
        unfinished = folder / "stage.unfinished"
        unfinished.write_text(json.dumps(asdict(self)))
        unfinished.rename(folder / "stage.json")


async def outage(
    folder: Path, events: int, files: int, restarts: int, without: str = "", patience_s: float = PATIENCE_S
) -> Figures:
    """Goes on where a run in `folder` was cut off. Raises Wrong, and what verifying raises."""
    site, stage = Site(folder), Stage.of(folder)
    await site.trust("booth")
    order = Order(str(folder), f"127.0.0.1:{site.gateway_port}", events, files, without, patience_s)
    if stage.recorded:
        stage.taken_up += 1
        stage.note(folder)
    else:
        async with serving(site.gateway_config, site.log("gateway")) as gateway:
            await gateway.ready()
            await _recorded(order, stage, 1, gateway)
    for end in [*(events * n // (restarts + 1) for n in range(1, restarts + 1)), events]:
        await _recorded(order, stage, end)
    async with order.booth(events) as booth:
        await _line(booth)
        async with serving(site.gateway_config, site.log("gateway")) as gateway:
            await gateway.ready()
            figures = Figures(**await _line(booth))
            await booth.wait(60)
    figures.restarts, figures.taken_up, figures.recorded_s = stage.restarts, stage.taken_up, stage.seconds
    figures.files = files
    _check(site, folder, events, figures)
    return figures


async def _recorded(order: Order, stage: Stage, end: int, gateway: Program | None = None) -> None:
    """Record on, and be killed at `end`, after `gateway`, or stop at the outage's end."""
    if stage.recorded >= end:
        return
    began, before = time.monotonic(), stage.seconds
    async with order.booth(stage.recorded) as booth:
        while stage.recorded < end:
            facts = await _line(booth)
            stage.recorded, stage.seconds = facts["recorded"], before + time.monotonic() - began
            stage.note(Path(order.folder))
            if facts["rss"] > MAX_RSS:
                raise Wrong(f"the agent has {facts['rss']} bytes while it records")
        if gateway is not None:
            os.kill(gateway.pid, signal.SIGKILL)
        if end < order.events:
            os.kill(booth.pid, signal.SIGKILL)
            stage.restarts += 1
        await booth.wait(60)


async def _line(booth: Program) -> dict[str, Any]:
    facts = await booth.line(PATIENCE_S)
    if not isinstance(facts, dict):
        raise Wrong(str(booth.failed("ended by itself")))
    return facts


def _check(site: Site, folder: Path, events: int, figures: Figures) -> None:
    key = certificate_key(load_certificate(folder / "keys" / "booth.crt"))
    head = verify_ledger(folder / "ledger", {key_id(key): key})
    counts, alarms = audit(read_config(site.gateway_config))
    if (counts.events, counts.chains) != (head.seq, 1) or head.seq < events or alarms:
        raise Wrong(f"the port holds {counts.events} events of {counts.chains} chains, the ledger {head.seq}; {alarms}")
    if counts.evidence_missing or counts.evidence_at_booth or counts.evidence_whole < figures.files:
        raise Wrong(f"{counts.evidence_whole} files are at the port of {figures.files}")
    if figures.rss > MAX_RSS:
        raise Wrong(f"the agent had {figures.rss} bytes while the backlog drained")
    if figures.accepted_p99 > MAX_ACCEPT_S:
        raise Wrong(f"live events were accepted in {figures.accepted_p99:.1f} s (p99) while the backlog drained")


def main() -> None:
    if sys.argv[1:2] == ["booth"]:
        end_with_parent()
        order = Order(**json.loads(sys.argv[2]))
        plant(order.without)
        asyncio.run(_be_booth(order, int(sys.argv[3])))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--restarts", type=int, default=5)
    options = parser.parse_args()
    folder = (FOLDER / f"outage-{options.events}-{options.files}").absolute()
    print(f"{folder}: {Stage.of(folder)}", flush=True)
    print(asyncio.run(outage(folder, options.events, options.files, options.restarts)), flush=True)


if __name__ == "__main__":
    main()

"""SIGKILL of the agent, the gateway or both at random points under load: python -m tests.proofs.kills [--sites 4]

`edge-agent run` and `port-gateway serve` are real programs with real files. A scanner pushes scans to the agent, which
answers 201 when one is in the ledger; a back-office subscribes and verifies every event itself. After every kill:

    taken by the back-office ≤ held by the port's inbox        acknowledged at the booth ≤ held by the port's inbox

and after every chapter of kills, when all has arrived: every scan that was answered with 201 is in the ledger once, the
inbox holds the ledger's chain, event for event, the back-office has had each of them once, each piece of evidence is
whole at the port, and both chains verify. A chapter is a site of its own, and several may run at once; a run goes on
behind the chapters that are done (progress.py), and does again what was cut off.
"""

import argparse
import asyncio
import contextlib
import hashlib
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from edge_agent.domain.errors import EdgeAgentError
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.evidence_files import EvidenceFiles as BoothFiles
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import certificate_key, key_id, load_certificate
from edge_agent.wire.v1alpha1.event_pb2 import Event
from port_gateway.audit import audit
from port_gateway.config import read_config
from port_gateway.evidence import EvidenceFiles as PortFiles
from tests.e2e.port import Site, free_port
from tests.proofs.ends import TOKEN, BackOffice, Lost, Scanner
from tests.proofs.faults import FAULTS
from tests.proofs.nursery import PATIENCE_S, Nursery, nursery
from tests.proofs.progress import FOLDER, Progress, add

BOOTH = "spiffe://uslrd/booth/lane-1"
CHAPTER = 100
SCANNERS = 2


@dataclass
class Figures:
    """Of any number of chapters."""

    chapters: int = 0
    kills: int = 0
    under_load: int = 0  # kills while a scan was being handed over, or an event was on its way to the port
    starting: int = 0  # kills of an agent before it had accepted anything
    accepted: int = 0
    events: int = 0
    reconnects: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.kills} kills ({self.under_load} with work in flight, {self.starting} of an agent that had only "
            f"begun), {self.accepted} scans accepted, {self.events} events, {self.reconnects} reconnections of the "
            f"back-office, {self.seconds:.0f} s"
        )


class Chapter:
    """One site, and what is killed in it."""

    def __init__(self, folder: Path, seed: str, kills: int, cradle: Nursery, without: str = "") -> None:
        self.folder, self.seed, self.kills, self.cradle, self.without = folder, seed, kills, cradle, without
        self.rng = random.Random(seed)
        self.site = Site(folder)
        self.port = free_port()
        (folder / "token").write_text(TOKEN)
        settings = {"port": self.port, "token_file": "token", "max_connections": 50}
        self.config = self.site.booth(
            0, expects=["scan"], devices=[{"id": "scanner", "driver": "http_push", "settings": settings}]
        )
        text = self.config.read_text()
        self.config.write_text(text.replace("back_off_s: 0.1", "back_off_s: 0.02").replace("max_s: 0.5", "max_s: 0.05"))
        self.gateway_settings = read_config(self.site.gateway_config)
        self.running: dict[str, int] = {}
        self.scanner = Scanner(self.port, seed)
        self.office = BackOffice(self.site)
        self.figures = Figures()

    async def run(self) -> Figures:
        began = time.monotonic()
        await self.site.trust("booth", "office")
        async with _beside(self.office.run(), *(self.scanner.push(n) for n in range(SCANNERS))) as others:
            for _ in range(self.kills):
                await self._start()
                await self._kill()
                self._check_kill()
                for one in others:
                    if one.done():
                        one.result()
            await self._start()
            for pushing in others[1:]:
                pushing.cancel()
            await self._arrived()
        await self._stop()
        self._check_chapter()
        self.figures.chapters, self.figures.kills, self.figures.reconnects = 1, self.kills, self.office.connections
        self.figures.accepted, self.figures.events = len(self.scanner.accepted), len(self.office.effects)
        self.figures.seconds = time.monotonic() - began
        return self.figures

    async def _start(self) -> None:
        for program, config in (("gateway", self.site.gateway_config), ("agent", self.config)):
            if program not in self.running:
                log = self.site.log(program)
                self.running[program] = await self.cradle.start(program, config, log, self.without)

    async def _kill(self) -> None:
        """At a random moment: most often under load, sometimes during a start."""
        rng = self.rng
        had = len(self.scanner.accepted)
        if rng.random() < 0.75:
            await self._until(lambda: len(self.scanner.accepted) > had, "the agent accepts nothing")
        await asyncio.sleep(rng.uniform(0, 0.15))
        victims = rng.choice((["agent"], ["gateway"], ["agent", "gateway"], ["gateway", "agent"]))
        if self.scanner.in_flight or self._held() < self._ledger_seq():
            self.figures.under_load += 1
        elif "agent" in victims and len(self.scanner.accepted) == had:
            self.figures.starting += 1
        for victim in victims:
            pid = self.running.pop(victim)
            os.kill(pid, signal.SIGKILL)
            status = await self.cradle.wait(pid)
            if status != -signal.SIGKILL:
                raise self._lost(f"the {victim} had ended by itself, with status {status}")
        await asyncio.sleep(rng.choice((0, 0, 0.02, 0.1)))  # the other one goes on alone

    def _check_kill(self) -> None:
        taken, acked, held = len(self.office.effects), self._acked(), self._held()
        if acked > held:
            raise self._lost(f"the port acknowledged {acked} events, and holds {held}")
        if taken > held:
            raise self._lost(f"the back-office was given {taken} events, and the port holds {held}")

    async def _arrived(self) -> None:
        """All that the ledger holds is with the back-office, and all evidence at the port."""
        await self._until(lambda: self._acked() >= self._ledger_seq() > 0, "the backlog does not drain")
        before = self._pending()
        while before:  # as long as some of it arrives
            left = before
            await self._until(lambda: self._pending() < left, "evidence does not arrive")  # noqa: B023 - asked at once
            before = self._pending()
        await self._until(lambda: len(self.office.effects) >= self._held(), "the back-office is not given all")

    async def _stop(self) -> None:
        for program, pid in self.running.items():
            os.kill(pid, signal.SIGTERM)
            if (status := await self.cradle.wait(pid)) != 0:
                raise self._lost(f"the {program} stopped with status {status}")

    def _check_chapter(self) -> None:
        self._check_accepted()
        certificate = load_certificate(self.folder / "keys" / "booth.crt")
        key = certificate_key(certificate)
        head = verify_ledger(self.folder / "ledger", {key_id(key): key})
        counts, alarms = audit(self.gateway_settings)
        missing = counts.evidence_missing + counts.evidence_at_booth  # these booths send everything
        if alarms or missing:
            raise self._lost(f"alarms {alarms}, {missing} pieces of evidence missing at the port")
        in_ledger = _rows(self.folder / "ledger" / "ledger.sqlite3", "SELECT seq, sha256 FROM event ORDER BY seq")
        at_port = _rows(self.gateway_settings.database, "SELECT seq, sha256 FROM event ORDER BY cursor")
        if at_port != in_ledger[: len(at_port)] or len(at_port) < len(self.office.effects):
            raise self._lost(f"the inbox holds {len(at_port)} events, and not as the ledger's {len(in_ledger)}")
        if self.office.effects != at_port[: len(self.office.effects)]:
            doubled = [seq for seq, n in Counter(seq for seq, _ in self.office.effects).items() if n > 1]
            raise self._lost(f"the back-office did not have each event once; twice: {doubled[:10]}")
        if head.seq != in_ledger[-1][0]:
            raise self._lost("the ledger's walk ended early")

    def _check_accepted(self) -> None:
        """Each scan that the agent said it has."""
        times, digests = Counter[str](), dict[str, str]()
        for _, envelope in _rows(self.folder / "ledger" / "ledger.sqlite3", "SELECT seq, envelope FROM event"):
            event = Event.FromString(read_envelope(envelope)[0])
            if event.WhichOneof("body") == "scan_received":
                name = event.scan_received.scan.scan_id
                times[name] += 1
                digests[name] = event.evidence[0].sha256.hex()
        missing = [scan for scan in self.scanner.accepted if not times[scan]]
        twice = [scan for scan, n in times.items() if n > 1]
        if missing or twice:
            raise self._lost(f"accepted and not in the ledger: {missing[:10]}; there twice: {twice[:10]}")
        for files in (BoothFiles(self.folder / "ledger" / "evidence"), PortFiles(self.gateway_settings.evidence)):
            for scan, digest in self.scanner.accepted.items():
                path = files.path(bytes.fromhex(digest))
                if digests[scan] != digest or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                    raise self._lost(f"the file of scan {scan} is not what the agent accepted")

    # --- what lies on the disk now, whoever runs ------------------------------------------------------------------
    def _held(self) -> int:
        return int(_rows(self.gateway_settings.database, "SELECT coalesce(max(seq), 0) FROM event")[0][0])

    def _acked(self) -> int:
        return self._reader(lambda reader: reader.acked_through())

    def _ledger_seq(self) -> int:
        return self._reader(lambda reader: reader.extent().newest)

    def _pending(self) -> int:
        return self._reader(lambda reader: len(reader.pending_blobs(0, 1_000_000)))

    def _reader(self, ask: Any) -> int:
        try:
            with contextlib.closing(LedgerReader(self.folder / "ledger")) as reader:
                return int(ask(reader))
        except EdgeAgentError:
            if self.scanner.accepted:
                raise
            return 0  # the agent's first start has not come so far

    async def _until(self, what: Any, complaint: str) -> None:
        ends, look = time.monotonic() + PATIENCE_S, time.monotonic() + 1
        while not what():
            if time.monotonic() > look:
                look += 1
                for program, pid in self.running.items():
                    if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                        raise self._lost(f"the {program} ended by itself, with status {await self.cradle.wait(pid)}")
            if time.monotonic() > ends:
                raise self._lost(f"{complaint} within {PATIENCE_S:g} s")
            await asyncio.sleep(0.005)

    def _lost(self, what: str) -> Lost:
        return Lost(f"chapter {self.seed!r}: {what}; see {self.folder}")


def _rows(path: Path, query: str) -> list[Any]:
    database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    with contextlib.closing(database):
        database.set_busy_timeout(10_000)
        return [tuple(row) for row in database.execute(query)]


@contextlib.asynccontextmanager
async def _beside(*work: Any) -> AsyncIterator[list["asyncio.Task[None]"]]:
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def total(folder: Path, seed: str, kills: int, without: str = "") -> Figures:
    """Chapter after chapter until `kills` are done. Raises Lost."""
    found = Figures()
    async with nursery() as cradle:
        for number in range(-(-kills // CHAPTER)):
            chapter = _chapter(folder, seed, number, min(CHAPTER, kills - number * CHAPTER), cradle, without)
            add(found, await chapter.run())
    return found


def _chapter(folder: Path, seed: str, number: int, kills: int, cradle: Nursery, without: str) -> Chapter:
    where = folder / f"chapter-{number}"
    if where.exists():  # of a run that was cut off, or that failed
        shutil.rmtree(before := where.with_suffix(".before"), ignore_errors=True)
        where.rename(before)
    where.mkdir(parents=True)
    return Chapter(where, f"{seed} {number}", kills, cradle, without)


async def _soak(options: argparse.Namespace) -> None:
    """What failed is left beside the note of progress."""
    name = f"kills-{options.seed}{'-without' if options.without else ''}"
    progress = Progress(FOLDER / f"{name}.json", Figures())
    left = iter(progress.left(-(-options.kills // CHAPTER)))

    async def site() -> None:
        async with nursery() as cradle:
            for number in left:
                chapter = _chapter((FOLDER / name).absolute(), options.seed, number, CHAPTER, cradle, options.without)
                progress.note(number, await chapter.run())
                shutil.rmtree(chapter.folder)
                print(f"0 lost, 0 doubled: {progress.found}", flush=True)

    async with asyncio.TaskGroup() as sites:
        for _ in range(options.sites):
            sites.create_task(site())
    print(f"0 lost, 0 doubled: {progress.found}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10_000, help="rounded up to hundreds")
    parser.add_argument("--seed", default="1", help="another seed kills at other moments")
    parser.add_argument("--sites", type=int, default=1, help="so many chapters at once")
    parser.add_argument("--without", choices=sorted(FAULTS), default="", help="take a protection away: it must fail")
    options = parser.parse_args()
    try:
        asyncio.run(_soak(options))
    except* Lost as lost:
        sys.exit("\n".join(f"FAILED: {one}" for one in lost.exceptions))


if __name__ == "__main__":
    main()

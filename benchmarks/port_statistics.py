"""How long the port takes to show what its lanes did in a year: 20 lanes of 35,040 quarters.

    python -m benchmarks.port_statistics [--lanes 20] [--days 365] [--keep DIR] [--json]

The rows are made from invented traffic (more by day than by night), as the gateway writes them when the events come;
then `port-gateway stats` runs as a program, start and reading of its modules included. All times are of the processor.
The peer is the same year without the rows: as many events, parsed and added up; `--peer` of them are, and multiplied.
"""

import argparse
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.event import Draft
from edge_agent.domain.inspection import Expected, MissingReason
from edge_agent.domain.statistics import (
    QUARTER_S,
    Confidences,
    DeviceTime,
    LaneStatistics,
    PartEnd,
    durations,
)
from edge_agent.wire.chain import Head
from edge_agent.wire.codec import event_payload
from edge_agent.wire.identity import Role, SpiffeId, create_identity
from edge_agent.wire.v1alpha1.event_pb2 import Event
from port_gateway.lane_quarters import COLUMNS, believed, counts_of, row_of
from port_gateway.store import Store

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
DEVICES = ("portal", "seal-scanner", "scale", "front", "side")


def part(lane: str, quarter_s: int, rng: random.Random) -> LaneStatistics:
    """A quarter of invented traffic: a vehicle a minute at noon, few at night; one quarter in 500 is cut short."""
    hour = quarter_s % 86_400 / 3600
    busy = 0.5 - 0.5 * math.cos(2 * math.pi * (hour - 6) / 24)
    count = min(20, max(0, round(rng.gauss(14 * busy, 2))))
    dwell = [rng.lognormvariate(math.log(35 + 15 * busy), 0.35) for _ in range(count)]
    gap = [rng.expovariate(1 / (8 + 200 * (1 - busy) ** 3)) for _ in range(count)]
    missing = sum(rng.random() < 0.04 for _ in range(count))
    covered = rng.uniform(60, 880) if rng.random() < 0.002 else QUARTER_S
    begin = Instant(datetime.fromtimestamp(quarter_s, UTC), quarter_s * 10**9, ClockState.SYNCHRONISED)
    down = covered * rng.random() if rng.random() < 0.01 else 0.0
    return LaneStatistics(
        lane_id=lane,
        quarter_utc_us=quarter_s * 1_000_000,
        begin=begin,
        end=begin.shifted(covered),
        ended=PartEnd.QUARTER,
        clock_synchronised=True,
        arrived=count,
        complete=count - missing,
        incomplete=missing,
        missing=((Expected.SEAL, MissingReason.NOT_SEEN, missing),) if missing else (),
        dwell=durations(dwell),
        gap=durations(gap),
        service=durations([d + g for d, g in zip(dwell, gap, strict=True) if g < 20]),
        plates=Confidences((0, 0, 0, 0, 0, 1, 3, max(0, count - 4)), 1),
        codes=Confidences((0, 0, 0, 0, 0, 0, 2, max(0, count - 2)), 0),
        devices=tuple(
            DeviceTime(name, covered - (down if name == "portal" else 0), down if name == "portal" else 0, 0)
            for name in DEVICES
        ),
        settle_s=3.0,
    )


def parts(lanes: int, days: int) -> Iterator[tuple[int, LaneStatistics]]:
    rng = random.Random(1)
    begin = int(BEGIN.timestamp())
    for quarter in range(days * 96):
        for lane in range(1, lanes + 1):
            yield lane, part("1", begin + quarter * QUARTER_S, rng)


def fill(folder: Path, lanes: int, days: int) -> Path:
    """A gateway's folder with these rows; its settings file."""
    now = datetime.now(UTC)  # noqa: TID251 - a certificate for today
    create_identity(folder, "gateway", SpiffeId("uslrd", Role.GATEWAY, "main"), now, ("localhost",))
    config = folder / "gateway.yaml"
    config.write_text("identity: {key: gateway.key, certificate: gateway.crt}\nlisten: '127.0.0.1:0'\ndata: data\n")
    store = Store(folder / "data" / "inbox.sqlite")
    booths = [(n, f"spiffe://uslrd/booth/lane-{n}") for n in range(1, lanes + 1)]
    store.submit(lambda db: db.executemany("INSERT INTO lane VALUES (?,?,'1')", booths)).result()
    marks = ",".join("?" * len(COLUMNS.split(",")))
    rows = [row_of(said, lane, cursor) for cursor, (lane, said) in enumerate(parts(lanes, days), 1)]
    statement = f"INSERT INTO lane_quarter ({COLUMNS}) VALUES ({marks})"  # noqa: S608 - only marks
    for begin in range(0, len(rows), 20_000):
        some = rows[begin : begin + 20_000]
        store.submit(lambda db, some=some: db.executemany(statement, some)).result()  # type: ignore[misc]
    store.close()
    return config


def took(config: Path, *options: str) -> float:
    """Seconds of processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "port_gateway", "stats", str(config), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def from_events(events: int) -> float:
    """Seconds to parse so many events and add them up."""
    head, rng = Head("spiffe://uslrd/booth/lane-1", bytes(16)), random.Random(2)
    begin = int(BEGIN.timestamp())
    payloads = []
    for n in range(events):
        said = part("1", begin + n * QUARTER_S, rng)
        payloads.append(event_payload(Draft(said, said.end), head))
    began, sums = time.process_time(), dict[int, int]()
    for payload in payloads:
        read = believed("", Event.FromString(payload))
        assert read is not None
        for place, count in counts_of(read).items():
            sums[place] = sums.get(place, 0) + count
    return time.process_time() - began


def measure(folder: Path, lanes: int, days: int, peer: int) -> dict[str, float]:
    began = time.process_time()
    config = fill(folder, lanes, days)
    rows = lanes * days * 96
    figures = {"rows": float(rows), "s to make them": time.process_time() - began}
    figures["MB on disk"] = sum(f.stat().st_size for f in (folder / "data").iterdir()) / 1e6
    last = (BEGIN + timedelta(days=days - 1)).strftime("%Y-%m-%d")
    every = ("--from", "2025-01-01", "--to", last)
    zone = ("--zone", "America/Chicago")
    figures["s: nothing but the start (--help)"] = took(config, "--help")
    figures["s: the last six hours of one lane by quarter"] = took(config, "--booth", "lane-1", "--by", "quarter")
    figures["s: a year of one lane by day"] = took(config, "--booth", "lane-1", "--by", "day", *every, *zone)
    figures["s: a year of all lanes by day"] = took(config, "--by", "day", *every, *zone)
    figures["s: a year of all lanes together by hour"] = took(config, "--together", *every, *zone)
    figures["s: a year of all lanes by day, plotted"] = took(
        config, "--by", "day", *every, *zone, "--plot", str(folder / "year.png")
    )
    figures["s: the same year from its events (reckoned)"] = from_events(peer) * rows / peer
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lanes", type=int, default=20)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--peer", type=int, default=5000, help="events of the peer (default: %(default)s)")
    parser.add_argument("--keep", type=Path, help="make it in this folder, and leave it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.keep is not None:
        options.keep.mkdir(parents=True)
        figures: dict[str, Any] = measure(options.keep, options.lanes, options.days, options.peer)
    else:
        with tempfile.TemporaryDirectory(prefix="year-") as folder:
            figures = measure(Path(folder), options.lanes, options.days, options.peer)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<48} {value:>12,.2f}")


if __name__ == "__main__":
    main()

"""A million mutated frames through every parser: what it raises (nothing), what it holds, how fast it is.

    python -m benchmarks.mutations [--frames N] [--skip N] [--driver NAME ...] [--json]

Of what the sources read (registers, documents, files, messages: tests/fuzz/source_parsers.py) each input is one
mutated seed. Nothing but the errors that the parser documents may be raised; `malformed` counts these.

Each thousand has random numbers of its own: the run that ended after N goes on with `--skip N`, and has the frames that
the whole run would have had.

Frames are those of the drivers' contract cases, with bytes flipped, lost, doubled, swapped, cut off and run together
(one frame in eight is left whole), one connection a thousand frames. Every byte must come back in some reading's raw.
The peer on the same bytes is pyserial's own `serial.threaded.LineReader`, which splits lines and decodes them, and
checks nothing. `rss` is the process's largest growth of memory while a parser ran.
"""

import argparse
import json
import math
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from serial.threaded import LineReader

from edge_agent.devices.catalogue import CATALOGUE
from edge_agent.domain.observation import Malformed, Reading
from tests.contracts.case import Case
from tests.contracts.cases import CASES
from tests.fuzz.parsers import NOW, Parser, examples
from tests.fuzz.source_parsers import PARSERS

CONNECTION = 1000
# Frames are made once and given again and again: making them would take longer than parsing them.
POOL = 5000
# What a frame is given in: a serial line hands over some bytes at a time.
PIECE = 256
LONGEST = 4096
SOURCES = {parser.name: parser for parser in PARSERS}
SEED = 20261122


def mutated(frame: bytes, rng: random.Random) -> bytes:
    data, at = bytearray(frame), rng.randrange(len(frame)) if frame else 0
    match rng.randrange(8):
        case 0:
            pass
        case 1:
            for _ in range(rng.randint(1, 4)):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 2:
            del data[at : at + rng.randint(1, 8)]
        case 3:
            data[at:at] = data[at : at + rng.randint(1, 8)]
        case 4:
            data[at:at] = rng.randbytes(rng.randint(1, 8))
        case 5:
            del data[at:]
        case 6:
            data[at] = rng.choice(b"\x00\x02\x03\r\n\xff,]")
        case _:
            data = data[at:] + data[:at]
    return bytes(data)


def pool(case: Case, rng: random.Random) -> list[bytes]:
    whole = [frame for frame in examples(case) if 0 < len(frame) <= LONGEST] or [case.good]
    return [mutated(rng.choice(whole), rng) for _ in range(POOL)]


def thousands(first: int, end: int) -> Iterator[tuple[random.Random, int]]:
    """The random numbers of each thousand from the one of number `first` on, and how many of it come before `end`."""
    for begun in range(first // CONNECTION * CONNECTION, end, CONNECTION):
        yield random.Random(SEED + begun // CONNECTION), min(CONNECTION, end - begun)


def connections(frames: list[bytes], first: int, end: int) -> Iterator[list[bytes]]:
    """Each a list of pieces."""
    for rng, count in thousands(first, end):
        stream = b"".join(rng.choices(frames, k=count))
        yield [stream[at : at + PIECE] for at in range(0, len(stream), PIECE)]


def rss() -> int:
    """Bytes of memory in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def through_the_driver(case: Case, pieces: list[bytes]) -> tuple[int, int]:
    """Readings and Malformed among them; raises AssertionError if a byte is lost."""
    dialogue = CATALOGUE[case.driver].open(case.settings)
    now, readings, malformed, out = NOW, 0, 0, 0
    dialogue.opened(now)
    found: list[Reading] = []
    for piece in pieces:
        found += dialogue.received(piece, now)
        dialogue.to_send()
        now += 0.01
        if (wake := dialogue.next_wake()) is not None and wake <= now:
            found += dialogue.woke(now)
        if len(found) > CONNECTION:
            readings, malformed, out = _count(found, readings, malformed, out)
    found += dialogue.woke(math.inf)
    readings, malformed, out = _count(found, readings, malformed, out)
    assert out == sum(map(len, pieces)), f"{case}: {sum(map(len, pieces)) - out} bytes were lost"
    return readings, malformed


def _count(found: list[Reading], readings: int, malformed: int, out: int) -> tuple[int, int, int]:
    readings += len(found)
    malformed += sum(isinstance(reading.body, Malformed) for reading in found)
    out += sum(len(reading.raw) for reading in found)
    found.clear()
    return readings, malformed, out


class _Lines(LineReader):
    def __init__(self) -> None:
        super().__init__()
        self.lines = 0

    def handle_line(self, line: str) -> None:
        self.lines += 1


def through_the_peer(pieces: list[bytes]) -> int:
    reader = _Lines()
    for piece in pieces:
        reader.data_received(piece)
    return reader.lines


def measure(name: str, frames: int, skip: int = 0) -> dict[str, Any]:
    """Of each of the driver's cases an equal share of `frames`, but for its share of those skipped."""
    rng = random.Random(SEED)
    cases = [case for case in CASES if case.driver == name]
    found: dict[str, Any] = {"frames": 0, "bytes": 0, "readings": 0, "malformed": 0}
    ours = theirs = 0.0
    grown, before = 0, 0
    for case in cases:
        source = pool(case, rng)
        first, end = skip // len(cases) // CONNECTION * CONNECTION, -(-frames // len(cases))
        for pieces in connections(source, first, end):
            began = time.perf_counter()
            readings, malformed = through_the_driver(case, pieces)
            ours += time.perf_counter() - began
            began = time.perf_counter()
            through_the_peer(pieces)
            theirs += time.perf_counter() - began
            found["readings"] += readings
            found["malformed"] += malformed
            found["bytes"] += sum(map(len, pieces))
            before = before or rss()  # after the first connection everything is loaded
            grown = max(grown, rss() - before)
        found["frames"] += max(0, end - first)
    found["frames a second"] = found["frames"] / ours
    found["MB a second"] = found["bytes"] / ours / 1e6
    found["peer frames a second"] = found["frames"] / theirs
    found["ratio"] = theirs / ours
    found["rss growth, MB"] = grown / 1e6
    return found


def measure_source(parser: Parser, frames: int, skip: int = 0) -> dict[str, Any]:
    """Raises what the parser raised and does not document, with the input."""
    seeds, given, refused, size, took, grown, before = parser.seeds(), 0, 0, 0, 0.0, 0, 0
    for rng, count in thousands(skip, frames):
        for _ in range(count):
            data = mutated(rng.choice(seeds), rng)[: parser.longest]
            size += len(data)
            began = time.perf_counter()
            try:
                parser.parse(data)
            except parser.allowed:
                refused += 1
            except BaseException as error:
                raise AssertionError(f"{parser.name} raised {type(error).__name__} on {data.hex()}") from error
            took += time.perf_counter() - began
        given += count
        before = before or rss()  # after the first thousand everything is loaded
        grown = max(grown, rss() - before)
    return {
        "frames": given,
        "bytes": size,
        "malformed": refused,
        "frames a second": given / took,
        "MB a second": size / took / 1e6,
        "rss growth, MB": grown / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1_000_000, help="for each parser (default: %(default)s)")
    parser.add_argument("--skip", type=int, default=0, help="begin with the thousand of this number (default: 0)")
    parser.add_argument(
        "--driver", action="append", choices=sorted([*CATALOGUE, *SOURCES]), help="or a source's parser (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a parser")
    options = parser.parse_args()
    if not 0 <= options.skip < options.frames:
        parser.error("--skip must be less than --frames: nothing would be left")
    if options.driver and len(options.driver) == 1:
        name = options.driver[0]
        found = {"driver": name, **_driver_or_source(name, options.frames, options.skip)}
        print(json.dumps(found) if options.json else _row(found), flush=True)
        return
    if not options.json:
        print(
            f"{'parser':<20} {'frames':>10} {'malformed':>10} {'frames/s':>10} {'MB/s':>7} {'LineReader/s':>13} "
            f"{'ratio':>6} {'rss, MB':>8}"
        )
    for name in options.driver or [*CATALOGUE, *SOURCES]:  # each in a process of its own, whose memory is its own
        more = ["--json"] if options.json else []
        command = [sys.executable, "-m", "benchmarks.mutations", "--driver", name]
        more += ["--frames", str(options.frames), "--skip", str(options.skip)]
        # Decoders of pictures say on stderr what they think of each of them.
        done = subprocess.run([*command, *more], stderr=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.stderr[-4000:])


def _driver_or_source(name: str, frames: int, skip: int) -> dict[str, Any]:
    return measure(name, frames, skip) if name in CATALOGUE else measure_source(SOURCES[name], frames, skip)


def _row(found: dict[str, Any]) -> str:
    peer, ratio = found.get("peer frames a second"), found.get("ratio")
    return (
        f"{found['driver']:<20} {found['frames']:>10,} {found['malformed']:>10,} {found['frames a second']:>10,.0f} "
        f"{found['MB a second']:>7.2f} {'' if peer is None else f'{peer:,.0f}':>13} "
        f"{'' if ratio is None else f'{ratio:.2f}':>6} {found['rss growth, MB']:>8.1f}"
    )


if __name__ == "__main__":
    main()

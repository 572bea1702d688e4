"""Power cuts, simulated: python -m tests.proofs.power_cuts --cuts 100000 --seed 1 [--processes 8] [--normal]

A real ledger runs once over a file layer that notes every write, sync, rename and name made. Each cut then takes a
moment of that log: what was synced is there, every other write is dropped, kept or torn at 512 bytes, names that no
directory sync had made safe may be missing; the real store opens what is left. All that was accepted must be there.
`--normal`: with SQLite's synchronous=NORMAL, which must lose something, or these cuts would prove nothing.

A run is made of lives of a thousand cuts each; it goes on behind those that are done (progress.py). The disk that a
cut left and that lost something is kept beside the note of progress.
"""

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import apsw

from edge_agent.domain.event import StorageLevel, StorageState
from edge_agent.ledger import database, housekeeping, store
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.evidence_files import EvidenceFiles
from edge_agent.ledger.housekeeping import Keeping
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.ledger.store import Store
from tests.integration.ledger.conftest import Booth, HandClock, alarm, picture, until
from tests.proofs.nursery import end_with_parent
from tests.proofs.progress import FOLDER, Progress

SECTOR = 512
A_LIFE = 1_000
Operation = tuple[Any, ...]


class Tape(apsw.VFS):
    """The file layer that notes what SQLite does, beside the calls by which evidence is kept."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root = name, root
        self.log: list[Operation] = []
        super().__init__(name, base="")

    def relative(self, path: str | Path) -> str:
        return os.path.relpath(path, self.root)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "TapedFile":
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        return TapedFile(self, path, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:
        super().xDelete(name, syncdir)
        self.log.append(("unlink", self.relative(name)))

    @contextmanager
    def evidence(self) -> Iterator[None]:
        """Files other than SQLite's: their bytes are seen when they are synced or renamed."""
        fsync, rename = os.fsync, Path.rename

        def taped_fsync(descriptor: int) -> None:
            fsync(descriptor)
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if path.is_dir():
                self.log.append(("syncdir", self.relative(path)))
            else:
                self.log.append(("write", self.relative(path), 0, path.read_bytes()))
                self.log.append(("sync", self.relative(path)))

        def taped_rename(path: Path, to: Path) -> Path:
            data = path.read_bytes() if path.is_file() else b""
            self.log.append(("rename", self.relative(path), self.relative(to), data))
            return rename(path, to)

        with patch.object(os, "fsync", taped_fsync), patch.object(Path, "rename", taped_rename):
            yield


class TapedFile(apsw.VFSFile):
    def __init__(self, tape: Tape, path: str, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._tape, self._path = tape, tape.relative(path)
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._tape.log.append(("write", self._path, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._tape.log.append(("truncate", self._path, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._tape.log.append(("sync", self._path))


@dataclass
class Inode:
    """What a file surely holds, and what was written to it since."""

    safe: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)

    def sync(self) -> None:
        for operation in self.pending:
            _apply(self.safe, operation)
        self.pending.clear()


@dataclass
class Disk:
    """Names that are safe, and changes of names since, in order."""

    names: dict[str, Inode] = field(default_factory=dict)
    now: dict[str, Inode] = field(default_factory=dict)
    changes: list[tuple[str, str, Inode | None]] = field(default_factory=list)  # directory, name, inode

    def does(self, operation: Operation) -> None:
        what, path = operation[0], operation[1]
        if what in ("write", "truncate"):
            self._inode(path).pending.append(operation)
        elif what == "sync":  # also makes the name of a new file safe, as ext4 does
            self._inode(path).sync()
            self._settle(lambda _, name: name == path)
        elif what == "syncdir":
            self._settle(lambda directory, _: directory == path)
        elif what == "rename":
            inode = self._inode(path)
            if not inode.safe and not inode.pending:
                inode.pending.append(("write", path, 0, operation[3]))
            del self.now[path]
            self._name(path, None)
            self._name(operation[2], inode)
        elif what == "unlink":
            self.now.pop(path, None)
            self._name(path, None)

    def _inode(self, path: str) -> Inode:
        if path not in self.now:
            self._name(path, Inode())
        return self.now[path]

    def _name(self, path: str, inode: Inode | None) -> None:
        if inode is not None:
            self.now[path] = inode
        self.changes.append((os.path.dirname(path) or ".", path, inode))

    def _settle(self, which: Any) -> None:
        left = []
        for directory, name, inode in self.changes:
            if which(directory, name):
                self._set(self.names, name, inode)
            else:
                left.append((directory, name, inode))
        self.changes = left

    @staticmethod
    def _set(names: dict[str, Inode], name: str, inode: Inode | None) -> None:
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode

    def after_a_cut(self, rng: random.Random) -> dict[str, bytes]:
        """One of the states that a disk may be in now."""
        names = dict(self.names)
        for _, name, inode in self.changes[: rng.randint(0, len(self.changes))]:  # a journal keeps their order
            self._set(names, name, inode)
        mode = rng.choice(("drop", "keep", "mixed", "mixed"))
        return {name: _left(inode, mode, rng) for name, inode in names.items()}


def _left(inode: Inode, mode: str, rng: random.Random) -> bytes:
    data = bytearray(inode.safe)
    for operation in inode.pending:
        fate = rng.choice(("drop", "keep", "tear")) if mode == "mixed" else mode
        if fate == "keep":
            _apply(data, operation)
        elif fate == "tear" and operation[0] == "write":
            for at in range(0, len(operation[3]), SECTOR):
                if rng.random() < 0.5:
                    _apply(data, ("write", "", operation[2] + at, operation[3][at : at + SECTOR]))
    return bytes(data)


def _apply(data: bytearray, operation: Operation) -> None:
    if operation[0] == "truncate":
        del data[operation[2] :]
        return
    _, _, offset, new = operation
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(new)] = new


@dataclass
class Taped:
    """A ledger's life, with what was accepted at which place of the log."""

    booth: Booth
    log: list[Operation]


async def _life(booth: Booth, tape: Tape) -> None:
    clock = HandClock()
    with tape.evidence():
        for run in range(3):
            opening = booth.open(vfs=tape.name, clock=clock, keeping=Keeping(retention_s=60, ballast_bytes=0))
            async with opening as ledger:
                for n in range(6):
                    piece = picture(700 + 13 * n + run, b"%d" % n)
                    drafts = [alarm(n, piece), *(alarm(m) for m in range(4))]
                    recorded = await asyncio.gather(*(ledger.recorder.record(draft) for draft in drafts))
                    tape.log += [("accepted", "", one.seq, one.sha256) for one in recorded]
                    tape.log.append(("evidence", "", piece.sha256))
                if run == 1:  # what goes now went by the ledger's own will
                    ledger.outbox.acked(20)
                    await until(lambda: ledger.outbox.acked_through() == 20)
                    clock.forward(600)
                    await ledger.recorder.record(alarm(1))
                    await until(lambda: ledger.outbox.kept().trimmed_seq == 20)


def tape_a_life(folder: Path, synchronous: int) -> Taped:
    """Run a ledger once, with a log that is emptied every few commits."""
    booth = Booth(folder / "keys", folder / "ledger")
    tape = Tape(f"tape-{folder.name}", booth.directory)
    level = StorageLevel(StorageState.NORMAL, 1, 100)
    try:
        with (
            patch.object(database, "SYNCHRONOUS", synchronous),
            patch.object(store, "CHECKPOINT_PAGES", 40),
            patch.object(housekeeping, "measure", lambda *_: level),
        ):
            asyncio.run(_life(booth, tape))
    finally:
        tape.unregister()
    return Taped(booth, tape.log)


def losses(taped: Taped, cuts: int, seed: int | str, folder: Path, keep: Path | None = None) -> Iterator[str]:
    """What was lost by which cut, in words; the disks that lost something are kept below `keep`."""
    rng = random.Random(seed)
    moments = sorted(rng.randrange(len(taped.log) + 1) for _ in range(cuts))
    disk, accepted, evidence, at = Disk(), dict[int, bytes](), set[bytes](), 0
    for number, moment in enumerate(moments):
        while at < moment:
            operation = taped.log[at]
            at += 1
            if operation[0] == "accepted":
                accepted[operation[2]] = operation[3]
            elif operation[0] == "evidence":
                evidence.add(operation[2])
            else:
                disk.does(operation)
        left = disk.after_a_cut(random.Random(f"{seed} {number}"))
        wrong = _opened(taped.booth, left, accepted, evidence, folder, whole=number % 50 == 0)
        if wrong:
            if keep is not None:
                _lay(left, keep / f"cut-{number}")
            yield f"seed {seed!r}, cut {number} at {moment}: {wrong}"


def _opened(
    booth: Booth, left: dict[str, bytes], accepted: dict[int, bytes], evidence: set[bytes], folder: Path, whole: bool
) -> str:
    where = folder / "cut"
    _lay(left, where)
    try:
        Store.open(where, booth.booth_id, device_keys=booth.device_keys).close()
    except Exception as fault:  # noqa: BLE001 - whatever it is, it is told with its cut
        return f"does not open: {fault}"
    reader = LedgerReader(where)
    try:
        held: dict[int, bytes] = dict(reader._rows("SELECT seq, sha256 FROM event"))
        trimmed = reader.kept().trimmed_seq
    finally:
        reader.close()
    missing = [seq for seq, sha256 in accepted.items() if seq > trimmed and held.get(seq) != sha256]
    if missing:
        return f"accepted and gone: {missing}"
    files = EvidenceFiles(where / "evidence")
    if any(files.read(sha256) is None for sha256 in evidence):
        return "evidence accepted and gone"
    if whole and held:
        verify_ledger(where, booth.device_keys)
    return ""


def _lay(left: dict[str, bytes], where: Path) -> None:
    """Make the files that a cut left."""
    shutil.rmtree(where, ignore_errors=True)
    for folder in {os.path.dirname(name) for name in left}:
        (where / folder).mkdir(parents=True, exist_ok=True)
    for name, data in left.items():
        (where / name).write_bytes(data)


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder where a sync costs nothing: what it would have saved is reckoned here, not there."""
    shm = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
    with tempfile.TemporaryDirectory(dir=shm) as folder:
        yield Path(folder)


@dataclass
class Figures:
    """Of any number of lives."""

    cuts: int = 0
    operations: int = 0
    lost: int = 0

    def __str__(self) -> str:
        return f"{self.cuts} cuts at {self.operations} operations: {self.lost} lost something"


def life(seed: str, synchronous: int, keep: Path) -> tuple[Figures, list[str]]:
    """A ledger's life, A_LIFE cuts of it, and what they lost, in words."""
    with in_memory() as folder:
        taped = tape_a_life(folder / "life", synchronous)
        lost = list(losses(taped, A_LIFE, seed, folder, keep))
    return Figures(A_LIFE, len(taped.log), len(lost)), lost


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=20_000, help="rounded up to thousands")
    parser.add_argument("--seed", default="1", help="a run of another seed has other lives and other cuts")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--normal", action="store_true")
    options = parser.parse_args()
    name = f"cuts-{options.seed}{'-normal' if options.normal else ''}"
    progress = Progress(FOLDER / f"{name}.json", Figures())
    with ProcessPoolExecutor(options.processes, initializer=end_with_parent) as pool:
        lives = {
            pool.submit(life, f"{options.seed} {n}", 1 if options.normal else 2, FOLDER / f"{name}-{n}"): n
            for n in progress.left(-(-options.cuts // A_LIFE))
        }
        for done in as_completed(lives):
            figures, lost = done.result()
            print("\n".join([*lost, ""]), end="")
            progress.note(lives[done], figures)
            print(f"seed {options.seed}: {progress.found}", flush=True)
    return 1 if progress.found.lost else 0


if __name__ == "__main__":
    sys.exit(main())

"""A damaged ledger is set aside, and a new one begun in its place that names it.

    ledger.sqlite3, -wal  ─► every event that is whole and verifies ─► salvaged/<epoch>/ledger.sqlite3
                          ─► as they are                            ─► damaged/<n>/
    a new ledger.sqlite3, a new epoch; its first event says what it replaces

Each step leaves something that `salvage` can be run on again. Evidence stays where it is, and is offered to the port by
the new ledger. The lock keeps an agent away meanwhile.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import apsw
from google.protobuf.message import DecodeError

from edge_agent.domain.errors import EdgeAgentError, StoreCorrupt, StoreFailed
from edge_agent.domain.event import Replaced
from edge_agent.ledger.database import EPOCH_FILE, begin, transaction
from edge_agent.ledger.evidence_files import EvidenceFiles, sync_directory
from edge_agent.ledger.faults import file_faults, sqlite_faults
from edge_agent.ledger.handover import handed_over, note_handovers
from edge_agent.ledger.identity import HandedOver
from edge_agent.ledger.leftover import DAMAGED, next_place
from edge_agent.ledger.replaced import as_json
from edge_agent.ledger.scan import find_envelopes, read_damaged
from edge_agent.ledger.store import DATABASE, EVIDENCE, Store, lock_ledger
from edge_agent.ledger.wal import surely_durable
from edge_agent.ledger.whole import Whole, believed, checkpointed_through
from edge_agent.wire.chain import EPOCH_BYTES, GENESIS_SHA256, Head
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.identity import PublicKey
from edge_agent.wire.refused import Refused
from edge_agent.wire.standing import inspection_of, standing_of
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.v1alpha1.event_pb2 import Replaced as Replacing

SALVAGED = "salvaged"
_EPOCH_NAME = re.compile(f"[0-9a-f]{{{2 * EPOCH_BYTES}}}")
_FILES = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm")


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What was found, where it lies, and the evidence that the new ledger offers to the port."""

    replaced: Replaced
    kept_in: Path
    damaged_in: Path
    evidence: int


def is_whole(directory: Path, booth_id: str, device_keys: Mapping[str, PublicKey]) -> bool:
    """Whether an agent would take this ledger as it is; not one that the disk cannot read.

    Raises what else `Store.open` raises.
    """
    try:
        Store.open(directory, booth_id, device_keys=device_keys).close()
    except StoreCorrupt:
        return False
    except StoreFailed as failed:
        if _is_unreadable(failed.__cause__):
            return False
        raise
    return True


def _is_unreadable(cause: BaseException | None) -> bool:
    if isinstance(cause, OSError):
        return cause.errno == errno.EIO
    return isinstance(cause, apsw.IOError) and getattr(cause, "extendedresult", 0) in (
        apsw.SQLITE_IOERR_READ,
        apsw.SQLITE_IOERR_CORRUPTFS,
    )


def salvage(directory: Path, booth_id: str, device_keys: Mapping[str, PublicKey]) -> Salvaged:
    """Take over what is whole, and begin anew. `device_keys`: every key that this booth has had, by key id.

    Raises StoreFailed (in use, cannot be written), StoreFull, or StoreCorrupt if nothing says which epoch it was.
    """
    with file_faults(directory):
        lock = lock_ledger(directory)
        try:
            damaged = sorted((directory / DAMAGED).glob("*"))
            before = sorted((directory / SALVAGED).glob("*"))
            epoch = _epoch(directory, [directory, *damaged])
            found = whole_events([directory, *damaged, *before], booth_id, epoch, device_keys)
            earlier = _of_earlier_epochs(before, booth_id, epoch, device_keys)
            handed = _handed_over([directory, *reversed(damaged)], device_keys)
            accepted = _accepted_through([directory, *damaged], Head(booth_id, epoch), found, device_keys)
            replaced = _replaced(epoch, found, accepted, _earlier_epochs(before, epoch, found))
            kept_in = directory / SALVAGED / epoch.hex()
            with sqlite_faults(kept_in / DATABASE):
                _write_old(kept_in, booth_id, epoch, found)
                evidence = _begin_new(directory, booth_id, replaced, found, [*earlier, *found], handed)
            damaged_in = _set_aside(directory)
            (directory / _NEW).rename(directory / DATABASE)
            sync_directory(directory)
            return Salvaged(replaced, kept_in, damaged_in, evidence)
        finally:
            os.close(lock)


def whole_events(
    sources: Iterable[Path], booth_id: str, epoch: bytes, device_keys: Mapping[str, PublicKey]
) -> list[Whole]:
    """The verified events of this epoch by sequence; of two at one place (a torn write), the one that links."""
    envelopes = (envelope for folder in sources for envelope in find_envelopes(folder / DATABASE))
    found: dict[int, list[Whole]] = {}
    for whole in believed(envelopes, Head(booth_id, epoch), device_keys)[0]:
        found.setdefault(whole.event.seq, []).append(whole)
    return [_that_links(found, seq) for seq in sorted(found)]


def _that_links(found: Mapping[int, list[Whole]], seq: int) -> Whole:
    after = {whole.event.previous_sha256 for whole in found.get(seq + 1, ())}
    before = {whole.sha256 for whole in found.get(seq - 1, ())}
    return max(
        found[seq], key=lambda whole: (whole.sha256 in after, whole.event.previous_sha256 in before, whole.sha256)
    )


def _epoch(directory: Path, sources: Iterable[Path]) -> bytes:
    """As noted beside the database; if that is gone, the one that most of its events name."""
    noted = directory / EPOCH_FILE
    try:
        epoch = bytes.fromhex(noted.read_text().strip())
        if len(epoch) == EPOCH_BYTES:
            return epoch
    except (FileNotFoundError, ValueError, UnicodeDecodeError):
        pass
    counts: dict[bytes, int] = {}
    for folder in sources:
        for envelope in find_envelopes(folder / DATABASE):
            try:
                named = Event.FromString(read_envelope(envelope)[0]).epoch
            except (Refused, DecodeError):
                continue
            counts[named] = counts.get(named, 0) + 1
    if not counts:
        raise StoreCorrupt(
            f"{directory}: no event is left of this ledger", "keep the folder, and begin in an empty one"
        )
    return max(counts, key=lambda named: counts[named])


def _of_earlier_epochs(
    before: Iterable[Path], booth_id: str, epoch: bytes, device_keys: Mapping[str, PublicKey]
) -> list[Whole]:
    """What earlier salvages took over: its evidence may not have reached the port yet."""
    found: list[Whole] = []
    for folder in before:
        if _EPOCH_NAME.fullmatch(folder.name) and folder.name != epoch.hex():
            found += whole_events([folder], booth_id, bytes.fromhex(folder.name), device_keys)
    return found


def _handed_over(places: Iterable[Path], device_keys: Mapping[str, PublicKey]) -> HandedOver | None:
    """As the newest database that can be read notes it: the event that says so may have been trimmed."""
    for folder in places:
        try:
            handed = handed_over(folder / DATABASE)
        except (EdgeAgentError, UnicodeDecodeError):
            continue
        if handed is not None and handed.key in device_keys:
            return handed
    return None


def _accepted_through(
    places: Iterable[Path], head: Head, found: list[Whole], device_keys: Mapping[str, PublicKey]
) -> int:
    """As far as checkpoints in what is left say so: the last event itself may be damaged."""
    _, sessions = believed((whole.envelope for whole in found), head, device_keys)
    through = [0]
    for folder in places:
        through.append(checkpointed_through(read_damaged(folder / DATABASE), head, sessions))
        log = surely_durable(read_damaged(folder / f"{DATABASE}-wal"))
        through.append(checkpointed_through(log, head, sessions))
    return max(through)


def _replaced(epoch: bytes, found: list[Whole], accepted_through: int, earlier: tuple[bytes, ...]) -> Replaced:
    gaps, expected = list[tuple[int, int]](), 1
    for seq in (*(whole.event.seq for whole in found), accepted_through + 1):
        if seq > expected:
            gaps.append((expected, seq - 1))
        expected = max(expected, seq + 1)
    last = (found[-1].event.seq, found[-1].sha256) if found else (0, GENESIS_SHA256)
    return Replaced(epoch, *last, len(found), tuple(gaps), earlier)


def _earlier_epochs(before: Iterable[Path], epoch: bytes, found: list[Whole]) -> tuple[bytes, ...]:
    """In whose place this ledger was begun, as its first event says, or salvages before this one left them here."""
    said = found[0].event.session_opened.replaces if found else Replacing()
    named = [said.epoch, *said.earlier] if said.epoch else []
    named += [bytes.fromhex(folder.name) for folder in before if _EPOCH_NAME.fullmatch(folder.name)]
    return tuple(dict.fromkeys(one for one in named if one != epoch))


def _write_old(folder: Path, booth_id: str, epoch: bytes, found: list[Whole]) -> None:
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True, mode=0o700)
    database = begin(unfinished / DATABASE, booth_id, epoch)
    with transaction(database):
        database.executemany(
            "INSERT INTO event (seq, id, kind, inspection_id, sha256, envelope) VALUES (?, ?, ?, '', ?, ?)",
            [
                (one.event.seq, one.event.id, one.event.WhichOneof("body") or "", one.sha256, one.envelope)
                for one in found
            ],
        )
    database.close()
    sync_directory(unfinished)
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier try: all of it is in `unfinished`, too
    unfinished.rename(folder)
    sync_directory(folder.parent)
    sync_directory(folder.parent.parent)


_NEW = f"{DATABASE}.new"


def _begin_new(
    directory: Path,
    booth_id: str,
    replaced: Replaced,
    found: list[Whole],
    binding: list[Whole],
    handed: HandedOver | None,
) -> int:
    """The new ledger in a file beside, with the evidence that `binding` names as its own to send. How many pieces."""
    for name in (_NEW, f"{_NEW}-wal", f"{_NEW}-shm"):
        (directory / name).unlink(missing_ok=True)
    files = EvidenceFiles(directory / EVIDENCE)
    named = {ref.sha256: ref for one in binding for ref in one.event.evidence if files.path(ref.sha256).exists()}
    standings = _standings(binding)
    database = begin(directory / _NEW, booth_id, os.urandom(EPOCH_BYTES))
    with transaction(database):
        database.execute("INSERT INTO meta VALUES ('replaces', ?)", (as_json(replaced),))
        note_handovers(database, (one.envelope for one in found), handed)
        database.executemany(
            "INSERT INTO blob (sha256, kind, media_type, size, seq, state, standing, waits_since_run_s)"
            " VALUES (?, ?, ?, ?, 0, iif(?, 'kept', 'waiting'), ?, 0)",
            [
                (ref.sha256, ref.kind, ref.media_type, ref.size, standing, standing)
                for ref, standing in ((ref, standings[ref.sha256]) for ref in named.values())
            ],
        )
        database.executemany(
            "INSERT OR IGNORE INTO brought VALUES (?, ?)",
            [(of, ref.sha256) for one in binding if (of := inspection_of(one.event)) for ref in one.event.evidence],
        )
    database.close()
    return len(named)


def _standings(binding: list[Whole]) -> dict[bytes, int]:
    """Of each piece of evidence. What nothing was found of waits, until the agent's settings say of which kinds."""
    found: dict[str, int] = {}
    for one in binding:
        found[inspection_of(one.event)] = max(found.get(inspection_of(one.event), 0), standing_of(one.event))
    standings: dict[bytes, int] = {}
    for one in binding:
        of = inspection_of(one.event)
        for ref in one.event.evidence:
            standing = found[of] if of else standing_of(one.event)
            standings[ref.sha256] = max(standings.get(ref.sha256, 0), standing)
    return standings


def _set_aside(directory: Path) -> Path:
    """The `epoch` file stays: without the new database it says that one is missing."""
    place = next_place(directory)
    for name in _FILES:
        if (directory / name).exists():
            (directory / name).rename(place / name)
    sync_directory(place)
    sync_directory(directory)
    return place

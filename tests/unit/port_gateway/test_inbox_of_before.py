"""What evidence is used for, noted once for all events of an older inbox: as if each had come today."""

import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from google.protobuf.message import DecodeError

from edge_agent.domain.retention import Standing
from edge_agent.wire.envelope import read_envelope, write_envelope
from edge_agent.wire.refused import Refused
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from edge_agent.wire.v1alpha1.findings_pb2 import DECISION_HOLD, DECISION_RELEASE
from edge_agent.wire.v1alpha1.retention_pb2 import DELETION_REASON_NO_FINDING
from port_gateway import retention_index
from port_gateway.store import Store

TABLES = ("evidence_use", "inspection_standing", "deleted_evidence", "doomed_evidence")
NEWEST = 7_000
BOOTHS = "spiffe://p/booth/a", "spiffe://p/booth/b"


def event_of(rng: random.Random, number: int) -> wire.Event:
    """Few inspections and few pieces of evidence, so that they meet."""
    event = wire.Event(seq=number, id=str(number))
    inspection = rng.choice(("", "i1", "i2", "i3", "i4"))
    match rng.randrange(3):
        case 0:
            closed = event.inspection_closed.inspection
            closed.id = inspection
            if rng.random() < 0.6:
                closed.complete.SetInParent()
            if rng.random() < 0.5:
                closed.scans.add().files.add(sha256=piece(rng), kind="scan_image", size=rng.randrange(9))
        case 1:
            event.alarm_raised.inspection_id = inspection
        case 2:
            event.decision_recorded.inspection_id = inspection
            event.decision_recorded.decision = rng.choice((DECISION_HOLD, DECISION_RELEASE))
        case 3:
            event.evidence_deleted.reason = DELETION_REASON_NO_FINDING
            event.evidence_deleted.sha256.extend(piece(rng) for _ in range(2))
        case _:
            event.inspection_opened.inspection_id = inspection
    if rng.random() < 0.5:
        event.evidence.add(sha256=piece(rng), kind=rng.choice(("frame", "plate_crop")), size=rng.randrange(1 << 40))
    return event


def piece(rng: random.Random) -> bytes:
    return bytes([rng.randrange(40)]) * rng.choice((32, 32, 32, 31))


def one_by_one(db: apsw.Connection) -> None:
    rows = db.execute(
        "SELECT booth_id, envelope FROM event WHERE cursor NOT IN"
        " (SELECT cursor FROM quarantine WHERE released_cursor IS NULL) ORDER BY cursor"
    ).fetchall()
    for booth_id, envelope in rows:
        with contextlib.suppress(Refused, DecodeError):
            event = wire.Event.FromString(read_envelope(bytes(envelope))[0])  # type: ignore[arg-type]
            retention_index.note_uses(db, str(booth_id), event, NEWEST + retention_index.UPGRADE_US)


@pytest.mark.parametrize("seed", range(3))
def test_all_at_once_is_as_one_after_the_other(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    rows = [
        (rng.choice(BOOTHS), n, write_envelope(event.SerializeToString(), b"s", "k"))
        for n, event in enumerate((event_of(rng, n) for n in range(1, 121)), 1)
    ]
    rows += [(BOOTHS[0], 121, b"none"), (BOOTHS[0], 122, write_envelope(b"\xff", b"s", "k"))]

    def filled(db: apsw.Connection, note: Callable[[apsw.Connection], None]) -> dict[str, list[Any]]:
        db.executemany(
            "INSERT INTO event (booth_id, epoch, seq, sha256, envelope, received_utc_us) VALUES (?,x'00',?,x'',?,?)",
            [(*row, min(row[1] * 100, NEWEST)) for row in rows],
        )
        db.executemany(
            "INSERT INTO quarantine VALUES (?,'',x'',?,'MALFORMED_EVENT','',?,1)", [(7, 7, None), (8, 8, 300)]
        )
        db.execute("INSERT INTO legal_hold VALUES ('i4', '', '', 1)")
        note(db)
        return (
            {
                table: db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()  # noqa: S608 - names of tables
                for table in TABLES[:-1]
            }
            | {
                "doomed": db.execute("SELECT sha256 FROM doomed_evidence ORDER BY 1").fetchall(),
                "schema": db.execute(
                    "SELECT sql FROM sqlite_schema WHERE tbl_name = 'evidence_use' ORDER BY name"
                ).fetchall(),
                "left": db.execute("SELECT name FROM temp.sqlite_schema").fetchall(),
            }
        )

    found = []
    for name, note in (("one", one_by_one), ("all", retention_index.note_all_uses)):
        with contextlib.closing(Store(tmp_path / name)) as store:
            found.append(store.submit(lambda db, note=note: filled(db, note)).result(20))  # type: ignore[misc]
    one, all_of_them = found
    assert one["evidence_use"]
    assert one["left"] == []
    assert len(one["schema"]) == 3  # the table and its two indexes: a new inbox, too, was brought to this schema
    # The one difference: what a booth says it deleted is not believed where something was found later, either.
    clear = {use[0] for use in one["evidence_use"] if use[5] == Standing.CLEAR}
    one["deleted_evidence"] = [row for row in one["deleted_evidence"] if row[0] in clear]
    one["doomed"] = [row for row in one["doomed"] if row[0] in clear]
    assert all_of_them == one


def test_a_booths_word_that_it_deleted_something_counts_unless_it_was_named_again(tmp_path: Path) -> None:
    named, gone = wire.Event(seq=1), wire.Event(seq=2)
    named.evidence.extend(wire.EvidenceRef(sha256=bytes([n]) * 32, kind="frame", size=n) for n in (1, 2))
    gone.evidence_deleted.reason = DELETION_REASON_NO_FINDING
    gone.evidence_deleted.sha256.extend(bytes([n]) * 32 for n in (1, 2, 3))
    again = wire.Event(seq=3, evidence=[wire.EvidenceRef(sha256=bytes([2]) * 32, kind="frame", size=2)])

    def work(db: apsw.Connection) -> list[Any]:
        for event in (named, gone, again):
            envelope = write_envelope(event.SerializeToString(), b"s", "k")
            db.execute("INSERT INTO event VALUES (NULL,'b',x'',?,x'',?,9)", (event.seq, envelope))
        retention_index.note_all_uses(db)
        return db.execute("SELECT sha256 FROM deleted_evidence").fetchall()

    with contextlib.closing(Store(tmp_path / "inbox")) as store:
        assert store.submit(work).result(20) == [(bytes([1]) * 32,)]

"""Evidence whose time at the port is over: it goes, it is said to have gone, and nothing else does."""

import contextlib
import hashlib
import json
import os
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import cast

import grpc
import pytest

from edge_agent.domain.evidence import EvidenceKind
from edge_agent.domain.retention import DeletionReason, EvidenceDeleted
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from port_gateway.audit import audit
from port_gateway.cli import main
from port_gateway.evidence import EvidenceFiles
from port_gateway.inbox import Inbox
from port_gateway.quarantine import release
from port_gateway.retention import STEP
from tests.integration.port_gateway.conftest import Port
from tests.integration.port_gateway.retention.desk import ID, Clock, Desk, alarmed, closed, ref
from tests.unit.pack.port_of_entry import verify
from tests.unit.port_gateway.signing import NOW, Ledger


def test_each_class_goes_when_its_own_time_is_over(desk: Desk) -> None:
    desk.receive(closed(1), ref(b"frame", EvidenceKind.FRAME), ref(b"crop"))
    desk.receive(closed(2), ref(b"frame of an alarm", EvidenceKind.FRAME), ref(b"crop of an alarm"))
    desk.receive(alarmed(2))
    every = b"frame", b"crop", b"frame of an alarm", b"crop of an alarm"
    desk.arrive(*every)
    assert desk.run() == 1  # a booth of an older version sends whole frames all the same
    assert desk.here(*every) == [b"crop", b"frame of an alarm", b"crop of an alarm"]
    desk.clock.forward(29.9)
    assert desk.run() == 0
    desk.clock.forward(0.2)
    assert desk.run() == 1
    assert desk.here(*every) == [b"frame of an alarm", b"crop of an alarm"]
    desk.clock.forward(60)
    assert desk.run() == 2
    assert desk.here(*every) == []


def test_the_same_bytes_stay_while_any_inspection_keeps_them(desk: Desk) -> None:
    other = Ledger(desk.port.other_booth.identity, desk.port.other_booth.key)
    desk.receive(closed(1), ref(b"a"), ref(b"b"), ref(b"c"))
    desk.receive(closed(2), ref(b"a"))
    desk.receive(alarmed(2))
    desk.receive(closed(3), ref(b"b"), ledger=other)
    desk.receive(alarmed(3), ledger=other)
    desk.receive(alarmed(1), ledger=other)  # another booth's word on an inspection that is not its own
    desk.arrive(b"a", b"b", b"c")
    desk.clock.forward(31)
    assert [piece.sha256 for piece in desk.retention.over()] == [hashlib.sha256(b"c").digest()]
    assert desk.run() == 1
    assert desk.here(b"a", b"b", b"c") == [b"a", b"b"]


def test_what_comes_again_in_a_later_event_is_wanted_again(desk: Desk) -> None:
    desk.receive(closed(1), ref(b"a"))
    desk.arrive(b"a")
    desk.clock.forward(31)
    assert desk.run() == 1
    assert Inbox(desk.store, desk.clock).deleted(ref(b"a").sha256) is not None
    desk.receive(closed(2), ref(b"a"))
    assert Inbox(desk.store, desk.clock).deleted(ref(b"a").sha256) is None
    desk.arrive(b"a")
    assert desk.run() == 0
    assert desk.here(b"a")


def test_what_has_not_arrived_is_not_deleted_and_holds_nothing_up(desk: Desk) -> None:
    many = [b"%d" % n for n in range(300)]
    for first in range(0, 300, 100):
        desk.receive(closed(1), *map(ref, many[first : first + 100]))
    desk.arrive(many[299])
    desk.clock.forward(31)
    assert desk.run() == 1
    assert Inbox(desk.store, desk.clock).deleted(ref(many[0]).sha256) is None


def test_a_legal_hold_keeps_everything_of_an_inspection(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(desk.port.write_config())
    desk.receive(closed(1), ref(b"a"))
    desk.receive(closed(2), ref(b"a"), ref(b"b"))
    desk.arrive(b"a", b"b")
    assert main(["retention", "hold", config, ID.format(1), "--reason", "court order 17", "--by", "counsel"]) == 0
    assert main(["retention", "hold", config, ID.format(1), "--reason", "again"]) == 2
    assert main(["retention", "hold", config, ID.format(9), "--reason", "no such"]) == 2
    assert main(["retention", "hold", config, ID.format(2), "--reason", " "]) == 2
    desk.clock.forward(31)
    assert desk.run() == 1
    assert desk.here(b"a", b"b") == [b"a"]
    assert main(["retention", "release", config, ID.format(2), "--reason", "x"]) == 2
    assert main(["retention", "release", config, ID.format(1), "--reason", "case closed"]) == 0
    assert desk.run() == 1
    with desk.store.reading() as db:
        log = db.execute("SELECT by_whom, what, detail FROM retention_log ORDER BY id").fetchall()
    assert log[0] == ("counsel", "hold", f"{ID.format(1)}: court order 17")
    assert log[1][1:] == ("release", f"{ID.format(1)}: case closed")
    said = capsys.readouterr()
    assert "is held already: court order 17" in said.err
    assert "no event here names an inspection" in said.err


def test_a_kill_anywhere_leaves_what_the_next_start_finishes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [b"%d" % n for n in range(2 * STEP + 3)]
    desk.receive(closed(1), *map(ref, pieces))
    desk.arrive(*pieces)
    desk.clock.forward(31)
    retention = desk.retention
    monkeypatch.setattr(retention, "_bury", lambda: False)  # killed between the commit and the first file
    next(retention.run())
    assert len(desk.here(*pieces)) == len(pieces)
    assert Inbox(desk.store, desk.clock).deleted(ref(pieces[0]).sha256) is not None
    assert sum(desk.retention.run()) == len(pieces) - STEP
    assert desk.here(*pieces) == []
    with desk.store.reading() as db:
        assert db.execute("SELECT count(*) FROM doomed_evidence").get == 0
        assert db.execute("SELECT count(*) FROM deleted_evidence").get == len(pieces)


def test_files_that_a_restored_folder_brought_back_go_again(desk: Desk) -> None:
    desk.receive(closed(1), ref(b"a"))
    desk.arrive(b"a")
    desk.clock.forward(31)
    assert desk.run() == 1
    desk.arrive(b"a")
    assert desk.run() == 0
    assert desk.here(b"a") == []


def test_a_booth_says_only_of_its_own_evidence_that_it_was_deleted(desk: Desk) -> None:
    other = Ledger(desk.port.other_booth.identity, desk.port.other_booth.key)
    inbox = Inbox(desk.store, desk.clock)
    desk.receive(closed(1), ref(b"mine", EvidenceKind.FRAME), ref(b"ours", EvidenceKind.FRAME))
    desk.receive(closed(2), ref(b"theirs", EvidenceKind.FRAME), ref(b"ours", EvidenceKind.FRAME), ledger=other)
    named = tuple(ref(data).sha256 for data in (b"mine", b"ours", b"theirs", b"nobody's"))
    desk.receive(EvidenceDeleted(named[1:], 1, DeletionReason.RETENTION_OVER))
    assert all(inbox.deleted(sha256) is None for sha256 in named)
    desk.receive(EvidenceDeleted(named, 1, DeletionReason.NO_FINDING))
    assert all(inbox.deleted(sha256) is None for sha256 in named), "the port has not looked yet"
    assert desk.run() == 0
    assert [inbox.deleted(sha256) is not None for sha256 in named] == [True, False, False, False]
    gone = inbox.deleted(named[0])
    assert gone is not None
    assert (gone.place, gone.rule) == ("booth", "kept only with a finding, and there was none")


def test_a_clock_that_jumps_deletes_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    worker = desk.worker()
    desk.receive(closed(1), ref(b"a"))
    desk.arrive(b"a")
    desk.clock.forward(5)
    assert worker.turn() == 0
    desk.clock.days += 31  # the wall clock alone
    assert worker.turn() == 0
    assert worker.turn() == 0
    assert desk.here(b"a")
    assert caplog.text.count("clock was set by 2678400 s") == 1
    desk.clock.days = 5.0  # which of the two was right, nobody knows: its days count from now on
    assert worker.turn() == 0
    desk.clock.forward(29.9)
    assert worker.turn() == 0
    desk.clock.forward(0.2)
    assert worker.turn() == 1


def test_status_and_a_run_that_only_says(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    config = desk.port.write_config()
    config.write_text(config.read_text() + "retention: {days: {plate_crop: {clear: 0, finding: 1}}}\n")
    desk.receive(closed(1), ref(b"a"), ref(b"not here"))
    desk.arrive(b"a")
    assert main(["retention", "run", str(config), "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["sha256"], said["inspections"]) == (ref(b"a").sha256.hex(), [ID.format(1)])
    assert desk.here(b"a")
    assert main(["retention", "run", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"deleted": 1, "events_deleted": 0}
    assert main(["retention", "status", str(config), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["kept"] == [["plate_crop", "clear", 1, 8]]
    assert said["deleted"] == [["port", 1, 1]]
    assert said["days"]["plate_crop"] == {"clear": 0.0, "finding": 1.0, "referred": 730.0}
    assert main(["retention", "status", str(config)]) == 0
    assert "plate_crop                    0        1      730" in capsys.readouterr().out


async def test_gone_by_policy_and_not_arrived_are_different_answers(port: Port, tmp_path: Path) -> None:
    crop, never = ref(b"crop"), ref(b"never")
    with contextlib.closing(port.store()) as store:
        desk = Desk(port, store, port.ledger(), Clock())
        desk.receive(closed(1), crop, never)
        desk.arrive(b"crop")
        desk.clock.forward(31)
        assert desk.run() == 1
    async with port.serving():
        async with port.subscribe() as stub:
            for sha256, words in (
                (crop.sha256, "DELETED 2026-04-01T12:00:00Z: port: plate_crop with standing clear is kept for 30 days"),
                (never.sha256, "this evidence has not arrived"),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    async for _ in stub.GetBlob(wire.GetBlobRequest(sha256=sha256)):
                        pass
                assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.NOT_FOUND, words)
        async with port.evidence() as booth:
            answer = await booth.StatBlobs(wire.StatBlobsRequest(sha256=[crop.sha256, never.sha256]))
            assert [(blob.complete, blob.deleted) for blob in answer.blobs] == [(True, True), (False, False)]

            async def again() -> object:
                call = booth.PutBlob()
                header = wire.BlobHeader(sha256=crop.sha256, size=4)
                await call.write(wire.PutBlobRequest(header=header))
                await call.done_writing()
                return (await call).blob.deleted

            assert await again() is True
    assert not EvidenceFiles(port.settings().evidence).complete(crop.sha256)


def test_a_pack_and_verify_say_that_it_was_deleted(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(desk.port.write_config())
    frames = ref(b"frame", EvidenceKind.FRAME), ref(b"unasked", EvidenceKind.FRAME)
    desk.receive(closed(1), ref(b"crop"), ref(b"never"), *frames)
    desk.receive(closed(2), ref(b"of an alarm", EvidenceKind.FRAME))
    desk.receive(alarmed(2))
    desk.arrive(b"crop")
    desk.receive(EvidenceDeleted((ref(b"frame").sha256,), 5, DeletionReason.NO_FINDING))
    desk.clock.forward(31)
    assert desk.run() == 1
    assert main(["verify", config, "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    names = ("whole", "missing", "at_booth", "deleted")
    assert [counts[f"evidence_{name}"] for name in names] == [0, 2, 1, 2]  # what an alarm names is missed, not unasked
    assert main(["verify", config]) == 0
    assert "1 kept at the booth, by configuration (of vehicles without a finding)" in capsys.readouterr().out
    out = desk.port.folder / "pack"
    assert main(["export", config, ID.format(1), str(out)]) == 0
    status, said = verify(out)
    assert status == 0, said
    assert (
        f"{ref(b'crop').sha256.hex()}: deleted by retention on 2026-04-01T12:00:00Z under the port's settings: "
        "plate_crop with standing clear is kept for 30 days" in said
    )
    assert f"{ref(b'never').sha256.hex()}: it has not arrived at the port" in said
    assert f"{ref(b'unasked').sha256.hex()}: it stays at the booth" in said
    assert "under the booth's settings, as an event here says: kept only with a finding" in said
    assert ")  evidence deleted\n" in said  # the booth's own signed word for it is in the pack
    assert "kept only with a finding, and there was none" in (out / "README.html").read_text()
    absent = (out / "ABSENT").read_bytes()
    for changed in (absent.replace(b"30 days", b"31 days"), absent.replace(b"deleted", b"mislaid", 1), b""):
        (out / "ABSENT").write_bytes(changed)
        assert verify(out)[0] == 1
    (out / "ABSENT").unlink()
    assert verify(out)[0] == 1


def test_an_inbox_of_before_has_a_week_to_look_at_its_settings(desk: Desk) -> None:
    desk.receive(closed(1), ref(b"frame", EvidenceKind.FRAME))
    desk.arrive(b"frame")
    from port_gateway.retention_index import note_all_uses

    def as_of_before(db: object) -> None:
        db.execute("DELETE FROM evidence_use")  # type: ignore[attr-defined]
        note_all_uses(db)  # type: ignore[arg-type]

    desk.store.submit(as_of_before).result()
    desk.clock.forward(6.9)
    assert desk.run() == 0
    desk.clock.forward(0.2)
    assert desk.run() == 1


def test_files_that_no_event_names_do_not_stay_for_ever(desk: Desk) -> None:
    desk.receive(closed(1), ref(b"named"))
    desk.receive(alarmed(1))
    desk.arrive(b"named", b"nobody's")
    for data in (b"named", b"nobody's"):
        os.utime(desk.files.path(hashlib.sha256(data).digest()), (NOW.timestamp(), NOW.timestamp()))
    desk.clock.forward(89)
    assert desk.run() == 0, "its event may be on its way"
    desk.clock.forward(2)
    desk.retention.undate(0)  # its own days count anew
    assert desk.run() == 1
    assert desk.here(b"named", b"nobody's") == [b"named"]


def test_what_is_let_out_of_quarantine_by_a_clock_at_1970_is_not_over(desk: Desk) -> None:
    desk.receive(closed(1), ref(b"crop"))
    desk.arrive(b"crop")
    place = desk.ledger.booth_id, desk.ledger.epoch
    query = "INSERT INTO quarantine VALUES (2, ?, ?, 2, 'MALFORMED_EVENT', '', NULL, NULL)"
    desk.store.submit(lambda db: db.execute(query, place).fetchall()).result()
    assert [outcome.released_cursor for outcome in release(desk.store, [], 0)] == [3]
    assert desk.run() == 0
    desk.clock.forward(30.1)
    assert desk.run() == 1


class LaterKind(StrEnum):
    VIDEO = "video"


def test_a_kind_that_nobody_knows_is_kept_as_long_as_what_is_kept_longest(desk: Desk) -> None:
    """A booth's key must not keep anything for ever, nor take away that it was deleted."""
    piece = ref(b"crop")
    desk.receive(closed(1), piece)
    desk.arrive(b"crop")
    desk.clock.forward(31)
    assert desk.run() == 1
    desk.receive(alarmed(2), replace(piece, kind=cast("EvidenceKind", LaterKind.VIDEO)))
    counts = audit(desk.port.settings())[0]
    assert (counts.evidence_deleted, counts.evidence_missing) == (1, 0), "it was here, and its time was over"
    desk.arrive(b"crop")
    assert audit(desk.port.settings())[0].evidence_whole == 1
    assert desk.run() == 0
    desk.clock.forward(364)
    assert desk.run() == 0
    desk.clock.forward(1.1)
    assert desk.run() == 1
    assert desk.here(b"crop") == []


def test_what_has_not_arrived_is_looked_for_once_a_day(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bytes] = []
    complete = EvidenceFiles.complete

    def counted(self: EvidenceFiles, sha256: bytes) -> bool:
        looked.append(sha256)
        return complete(self, sha256)

    desk.receive(closed(1), ref(b"one"))
    desk.clock.forward(20)
    desk.receive(closed(2), ref(b"two"))
    desk.clock.forward(10.5)
    retention = desk.retention
    monkeypatch.setattr(EvidenceFiles, "complete", counted)
    assert [sum(retention.run()) for _ in range(5)] == [0] * 5
    assert looked == [ref(b"one").sha256]
    desk.arrive(b"one", b"two")
    desk.clock.forward(0.9)
    assert sum(retention.run()) == 0
    desk.clock.forward(0.2)
    assert sum(retention.run()) == 1, "it came late"
    assert desk.here(b"one", b"two") == [b"two"]
    desk.clock.forward(19)
    assert sum(retention.run()) == 1

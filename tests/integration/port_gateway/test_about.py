"""What is held on one plate, at the port and at a booth: all of it, nothing of others, and a log without the plate."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.cli import main as edge_agent
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.event import Draft, EventBody, InspectionClosed, InspectionOpened, Unassigned
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.inspection import Complete, Inspection, Voted
from edge_agent.domain.observation import Box, Observation, PlateRead
from edge_agent.expectations.store import DATABASE, FOLDER, ExpectationStore
from edge_agent.ledger.recorder import open_ledger
from edge_agent.ledger.salvage import salvage
from edge_agent.ledger.signer import open_signer
from edge_agent.pack.about import Match, match_of, one_off
from edge_agent.wire.chain import Head
from edge_agent.wire.codec import event_payload
from edge_agent.wire.identity import key_id
from edge_agent.wire.v1alpha1.event_pb2 import Event
from edge_agent.wire.v1alpha1.expected_pb2 import ExpectationList
from edge_agent.wire.v1alpha1.watch_pb2 import ExpectationsPage
from port_gateway.cli import main as port_gateway
from tests.integration.port_gateway.conftest import Port
from tests.integration.port_gateway.retention.desk import ID, Clock, Desk, ref
from tests.unit.port_gateway.signing import INSTANT

PLATE, OTHER, NEAR = "7ABC123", "XYZ9876", "7ABC128"


def closed(number: int, plate: str, *others: str) -> EventBody:
    vote = Voted(plate, 0.9, (), 3, len(others), others)
    return InspectionClosed(Inspection(ID.format(number), "1", INSTANT, INSTANT, Complete(), vote))


def stray(plate: str) -> EventBody:
    read = PlateRead(plate, 0.9, (), Box(0, 0, 9, 9))
    return Unassigned(Observation("o", "front", "1", INSTANT, read, b""))


@pytest.fixture
def desk(port: Port) -> Iterator[Desk]:
    with contextlib.closing(port.store()) as store:
        desk = Desk(port, store, port.ledger(), Clock())
        desk.receive(InspectionOpened(ID.format(1), "1", "presence"))
        desk.receive(closed(1, PLATE, OTHER), ref(b"crop"), ref(b"frame", EvidenceKind.FRAME), ref(b"gone"))
        desk.receive(closed(2, OTHER), ref(b"crop of another"))
        desk.receive(closed(3, NEAR), ref(b"crop of a near one"))
        desk.receive(stray("7ABC-123"))
        desk.arrive(b"crop", b"frame", b"crop of another", b"crop of a near one")
        yield desk


def asked(desk: Desk, capsys: pytest.CaptureFixture[str], *more: str, plate: str = "7abc 123") -> dict[str, object]:
    config = str(desk.port.write_config())
    assert port_gateway(["about", config, plate, "--reason", "request 12", "--by", "officer", "--json", *more]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert isinstance(answer, dict)
    return answer


def test_on_a_terminal_the_record_is_read_line_by_line(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert port_gateway(["about", str(desk.port.write_config()), PLATE, "--reason", "request 12"]) == 0
    said = capsys.readouterr().out
    record = said.partition("the vehicle's record:\n")[2].splitlines()
    assert record[0].split() == ["Lane", "1"]
    assert [line.split()[-1] for line in record if line.startswith("    Outcome ")] == ["complete"]
    assert OTHER not in said


def test_everything_of_the_plate_and_nothing_of_others(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    out = desk.port.folder / "answer"
    said = asked(desk, capsys, "--export", str(out))
    assert said["inspections"] == [ID.format(1)]
    events, evidence = said["events"], said["evidence"]
    assert isinstance(events, list)
    assert isinstance(evidence, list)
    assert [event["seq"] for event in events] == [2, 3, 6]
    assert {piece["kind"]: piece["held"] for piece in evidence if piece["sha256"] != ref(b"gone").sha256.hex()} == {
        "plate_crop": True,
        "frame": True,
    }
    near = said["near"]
    assert isinstance(near, list)
    assert len(near) == 1
    assert NEAR in near[0]
    pictures = [path.read_bytes() for path in (out / "evidence").iterdir()]
    assert pictures == [b"crop"]  # no whole frame, nothing of another vehicle
    handed_out = (out / "README.html").read_text() + (out / "about.json").read_text()
    assert PLATE in handed_out
    assert "a person looks at it first" in handed_out
    assert "it has not arrived at the port" in handed_out
    for others in (OTHER, NEAR, ID.format(2), ID.format(3)):
        assert others not in handed_out
    assert NEAR in (out / "near.json").read_text()
    assert port_gateway(["about", str(desk.port.write_config()), PLATE, "--reason", "r", "--export", str(out)]) == 2


def test_who_asked_is_logged_and_the_plate_is_not(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    asked(desk, capsys)
    with desk.store.reading() as db:
        rows = db.execute("SELECT by_whom, what, detail FROM retention_log").fetchall()
    assert rows == [("officer", "about", f"request 12: 3 events of {ID.format(1)}")]
    config = str(desk.port.write_config())
    for plate, reason, wrong in (
        (PLATE, "about 7-abc 123", "names the plate"),
        (PLATE, " ", "says nothing"),
        ("*", "r", "this is no plate"),
        ("A" * 17, "r", "this is no plate"),
    ):
        assert port_gateway(["about", config, plate, "--reason", reason]) == 2
        assert wrong in capsys.readouterr().err
    with desk.store.reading() as db:
        assert db.execute("SELECT count(*) FROM retention_log").get == 1


def test_deleted_evidence_is_named_as_deleted(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.clock.forward(31)
    assert desk.run() == 4
    evidence = asked(desk, capsys)["evidence"]
    assert isinstance(evidence, list)
    why = {piece["sha256"]: piece["why"] for piece in evidence}
    assert why[ref(b"crop").sha256.hex()].startswith("deleted on 2026-04-01T12:00:00Z at the port")
    assert not any(piece["held"] for piece in evidence)


PLATES = {
    "7ABC123": Match.SAME,
    "7-abc 123": Match.SAME,
    "7ABC1Z3": Match.NEAR,
    "7ABC12": Match.NEAR,
    "7ABC1234": Match.NEAR,
    "7ABCI23": Match.NEAR,
    "7ABD1Z3": None,
    "XYZ9876": None,
}


@pytest.mark.parametrize(("text", "match"), PLATES.items())
def test_how_a_read_compares(text: str, match: Match | None) -> None:
    event = Event.FromString(event_payload(Draft(closed(1, text), INSTANT), Head("b", bytes(16))))
    assert match_of(event, PLATE, folded=False) is match
    outvoted = Event.FromString(event_payload(Draft(closed(1, "ZZZ", text), INSTANT), Head("b", bytes(16))))
    assert match_of(outvoted, PLATE, folded=False) is (Match.NEAR if match is Match.SAME else None)


def test_folding_takes_what_looks_alike_for_the_same() -> None:
    event = Event.FromString(event_payload(Draft(closed(1, "O1I0"), INSTANT), Head("b", bytes(16))))
    assert match_of(event, "01IO", folded=True) is Match.SAME
    assert match_of(event, "01IO", folded=False) is Match.NEAR
    assert one_off("AB", "A")
    assert not one_off("AB", "AB")
    assert not one_off("AB", "ABCD")


def write_booth(folder: Path) -> Path:
    path = folder / "booth.yaml"
    path.write_text(
        "identity: {key: b1/lane-1.key, certificate: b1/lane-1.crt}\nledger: {directory: ledger}\n"
        'uplink: {gateway: "localhost:7443", gateway_certificate: gw/main.crt}\nlanes: [{id: 1, expects: []}]\n'
    )
    return path


async def test_at_a_booth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = Port(tmp_path)
    write_booth(tmp_path)
    crop = Evidence(EvidenceKind.PLATE_CROP, "image/jpeg", b"crop")
    frame = replace(crop, kind=EvidenceKind.FRAME, data=b"frame")
    device = open_signer(f"file:{port.booth.key_path}")
    folder = tmp_path / "ledger"
    async with open_ledger(folder, port.booth.identity, device, SystemClock(), "1", lambda *_: None) as ledger:
        await ledger.recorder.record(Draft(closed(1, PLATE), INSTANT, (crop, frame)))
        await ledger.recorder.record(Draft(closed(2, OTHER), INSTANT, (replace(crop, data=b"other"),)))
        command = ["ledger", "about", str(tmp_path / "booth.yaml"), PLATE, "--reason", "request 12"]
        assert edge_agent([*command, "--json", "--export", str(tmp_path / "answer")]) == 0  # beside the agent
    said = json.loads(capsys.readouterr().out)
    assert said["inspections"] == [ID.format(1)]
    assert [path.read_bytes() for path in (tmp_path / "answer" / "evidence").iterdir()] == [b"crop"]
    log = (folder / "requests.log").read_text()
    assert json.loads(log)["inspections"] == [ID.format(1)]
    assert PLATE not in log
    assert edge_agent([*command[:-1], f"asks about {PLATE}"]) == 2
    assert (folder / "requests.log").read_text() == log


async def test_at_a_booth_whose_ledger_was_salvaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = Port(tmp_path)
    config = write_booth(tmp_path)
    folder, crop = tmp_path / "ledger", Evidence(EvidenceKind.PLATE_CROP, "image/jpeg", b"crop")
    device = open_signer(f"file:{port.booth.key_path}")

    async def records(*drafts: Draft) -> None:
        async with open_ledger(folder, port.booth.identity, device, SystemClock(), "1", lambda *_: None) as ledger:
            for draft in drafts:
                await ledger.recorder.record(draft)

    await records(Draft(closed(1, PLATE), INSTANT, (crop,)), Draft(closed(2, OTHER), INSTANT))
    key = port.booth.key.public_key()
    salvage(folder, port.booth.identity, {key_id(key): key})
    await records(Draft(closed(3, OTHER), INSTANT), Draft(stray(PLATE), INSTANT), Draft(stray(OTHER), INSTANT))
    with contextlib.closing(ExpectationStore(folder / FOLDER / DATABASE)) as expected:
        page = ExpectationsPage(list=ExpectationList(list_id=bytes(16), revision=1, mark=1), whole=True, newest=True)
        for name, plate in (("e-1", PLATE), ("e-2", OTHER)):
            page.put.add(id=name, expires_utc_us=2**50).plates.add(text=plate)
        expected.keep(page, INSTANT.utc)
    (folder / FOLDER / "damaged.sqlite3").touch()
    (folder / "salvaged" / ("ab" * 16)).mkdir()
    (folder / "salvaged" / ("ab" * 16) / "ledger.sqlite3").write_bytes(b"no database " * 100)
    command = ["ledger", "about", str(config), PLATE, "--reason", "request 12"]
    assert edge_agent([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["inspections"] == [ID.format(1)]
    assert [(event["inspection"], event["seq"]) for event in said["events"]] == [("", 3), (ID.format(1), 2)]
    assert [piece["held"] for piece in said["evidence"]] == [True]
    assert said["expected"] == ["expected crossing e-1 (no container), kept until 2005-09-05 05:58:26 UTC"]
    for words in ("ab" * 16, "damaged.sqlite3: a copy of what the port expected", "what salvage could not read"):
        assert any(words in one for one in said["unsearched"]), words


def test_evidence_that_stays_at_the_booth_is_not_waited_for(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.receive(closed(5, PLATE), ref(b"unasked", EvidenceKind.FRAME))
    evidence = asked(desk, capsys)["evidence"]
    assert isinstance(evidence, list)
    why = {piece["sha256"]: piece["why"] for piece in evidence}
    assert why[ref(b"unasked").sha256.hex()].startswith("it stays at the booth")
    assert why[ref(b"gone").sha256.hex()] == "it has not arrived at the port"

"""What people read in a pack, and what is published about it."""

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from edge_agent.domain import event as domain
from edge_agent.pack.collect import NotFound, collect_event, collect_inspection
from edge_agent.pack.write import verify_script, write_pack
from edge_agent.wire.checkpoint import Checkpoint, origin_of
from edge_agent.wire.codec import event_payload
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.tree import Tree
from edge_agent.wire.v1alpha1.event_pb2 import Event
from tests.unit.pack.port_of_entry import BOOTH, CROP, FRAME, GATEWAY, INSPECTION, RAW, SCAN, Place, verify
from tests.unit.port_gateway.signing import INSTANT, Ledger, Party, device_event, sign

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))


class Text(HTMLParser):
    """The page as a browser shows it, and what it refers to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: set[str] = set()
        self.open: list[str] = []
        self.feed(page)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links |= {value for name, value in attrs if name in ("href", "src") and value}
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page(place: Place, tmp_path: Path) -> None:
    place.write(tmp_path / "pack")
    page = Text((tmp_path / "pack" / "README.html").read_text())
    assert page.open == []
    for words in (
        f"Inspection {INSPECTION}",
        "Licence plate ABC120 (read 3 of 4 times, confidence 0.80; other readings: ABC12O)",
        "Container code CSQU3054383",
        "Seal ML-1234567 (scanned by scanner; on container CSQU3054383)",
        "A vehicle with licence plate ABC120 passed lane 1 of the inspection booth spiffe://uslrd/booth/lane-1 "
        "from 2026-01-01 00:00:01 UTC to 2026-01-01 00:00:09 UTC by the booth's clock.",
        "Arrived 2026-01-01 00:00:01 UTC; the clock followed a time source",
        "Radiation the portal's verdict: GAMMA ALARM; by the booth's own computation",
        "the clock followed a time source",
        "The booth's program started",
        f"Absent: Everything the devices sent, as it came (application/x-ndjson, {RAW.ref.size} bytes), bound by event",
        "Why: shed: the disk was nearly full",
        "held the chain of 350 events at 2026-11-22 09:00:00 UTC by the port's own clock",
        "the booth's chain of 354 events",
        "That a key had not been revoked when it signed",
        f"The manifest with its digest is signed by {BOOTH}",
        hashlib.sha256(verify_script()).hexdigest(),
        GATEWAY,
    ):
        assert words in page.text, words
    there = {path.relative_to(tmp_path / "pack").as_posix() for path in (tmp_path / "pack").rglob("*")}
    assert page.links == {
        f"evidence/{e.sha256.hex()}{end}" for e, end in ((FRAME, ".jpg"), (CROP, ".jpg"), (SCAN, ".dcm"))
    }
    assert page.links <= there


def test_what_a_device_says_is_text(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.ledger.add(device_event("<script>alert(1)</script>"))
    chain = type(place.chain)(
        place.ledger, tmp_path / "kept", place.gateway, checkpoint_size=len(place.ledger.envelopes)
    )
    contents = collect_event(chain, len(place.ledger.envelopes), [place.booth.certificate])
    write_pack(contents, place.exporter(), tmp_path / "pack")
    page = (tmp_path / "pack" / "README.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_only_what_is_covered_is_exported(place: Place, tmp_path: Path) -> None:
    chain = type(place.chain)(place.ledger, tmp_path / "kept", place.gateway)
    with pytest.raises(NotFound, match="no checkpoint and no receipt covers event 1 yet"):
        collect_inspection(chain, INSPECTION, [place.booth.certificate])


def test_another_booth_s_certificates_are_of_no_use(place: Place, tmp_path: Path) -> None:
    stranger = Party(tmp_path / "x", "spiffe://uslrd/booth/lane-2")
    with pytest.raises(Exception, match="of which no certificate is here"):
        collect_inspection(place.chain, INSPECTION, [stranger.certificate])


def test_what_would_not_verify_is_not_written(place: Place, tmp_path: Path) -> None:
    ledger = Ledger(BOOTH, place.booth.key)
    ledger.add(domain.InspectionOpened(INSPECTION, "1", "presence"))
    chain = type(place.chain)(ledger, tmp_path / "kept", place.gateway, checkpoint_size=2)
    chain.levels[0][0] = bytes(32)
    with pytest.raises(Exception, match="does not lead to this root"):
        collect_event(chain, 2, [place.booth.certificate])


def test_the_script_has_words_for_every_kind_of_event(tmp_path: Path) -> None:
    """The closing of an inspection, and each kind from 23 on, in one pack: they name the inspection by their id."""
    place = Place(tmp_path)
    ledger = Ledger(BOOTH, place.booth.key)
    bodies = Event.DESCRIPTOR.oneofs_by_name["body"].fields
    kinds = [field for field in bodies if field.name == "inspection_closed" or field.number >= 23]
    for kind in kinds:
        event = Event.FromString(event_payload(domain.Draft(device_event(), INSTANT), ledger.head))
        event.ClearField("device_changed")
        event.id = INSPECTION
        getattr(event, kind.name).SetInParent()
        if kind.name == "inspection_closed":
            event.inspection_closed.inspection.id = INSPECTION
        ledger.envelopes.append(sign(event.SerializeToString(), ledger.session_key))
        ledger.head = ledger.head.after(envelope_sha256(ledger.envelopes[-1]))
    place.chain = type(place.chain)(ledger, tmp_path / "kept", place.gateway, checkpoint_size=len(ledger.envelopes))
    status, said = verify(place.pack())
    assert status == 0, said
    words = re.findall(r"^event \d+  .*? UTC \(.*?\)  (.*)$", said, re.MULTILINE)
    assert words == [
        "session opened",
        "inspection closed",
        "handed over to a new device key",
        "disk level changed",
        "evidence removed for room on the disk",
        "oldest events dropped",
        "findings added",
        "decision of an officer",
        "statistics of a lane",
        "evidence deleted",
    ]


def test_the_published_digest_of_the_script() -> None:
    assert hashlib.sha256(verify_script()).hexdigest() in (DOCS / "evidence-pack.md").read_text()


def test_the_checkpoint_in_the_description_of_the_wire() -> None:
    text = (DOCS / "wire.md").read_text()
    [first] = re.findall(r"carries as `previous_sha256`: `([0-9a-f]{64})`", text)
    tree, _ = Tree().extended([bytes.fromhex(first)])
    checkpoint = Checkpoint(origin_of("spiffe://uslrd/booth/lane-1", bytes(range(16))), 1, tree.root())
    assert checkpoint.text().decode() in text

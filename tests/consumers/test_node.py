"""The consumer in JavaScript: with every vector, with a real gateway over mTLS, and with an inbox that was altered."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import apsw
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from edge_agent.domain import event as domain
from edge_agent.domain.clock import Instant, SystemClock
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.retention import KeptDays
from edge_agent.wire.codec import event_payload
from edge_agent.wire.envelope import envelope_sha256
from edge_agent.wire.identity import key_id
from edge_agent.wire.rotation import possession_message
from edge_agent.wire.v1alpha1.envelope_pb2 import Envelope
from edge_agent.wire.v1alpha1.event_pb2 import Event
from port_gateway.evidence import EvidenceFiles
from port_gateway.retention_events import EventRetention
from port_gateway.store import Store
from tests.integration.port_gateway.conftest import PATIENCE_S, Port, Stream
from tests.unit.port_gateway.findings import closed
from tests.unit.port_gateway.signing import INSTANT, Ledger, Party, device_event, sign
from tests.vectors.reading import CASES

NODE = shutil.which("node")
CONSUMER = Path(__file__).parent / "node" / "consumer.mjs"
VECTORS = Path(__file__).parents[1] / "vectors"
pytestmark = pytest.mark.skipif(NODE is None, reason="needs node 18 or later: make system-packages")
PICTURE = Evidence(EvidenceKind.FRAME, "image/jpeg", b"\xff\xd8 a picture")


async def node(*arguments: str | Path) -> tuple[int, str]:
    """Its exit status, and what it said."""
    command = str(NODE), str(CONSUMER), *map(str, arguments)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    async with asyncio.timeout(PATIENCE_S):
        said, complained = await process.communicate()
    if process.returncode == 2:  # beside it, older versions of node warn of what they call experimental
        said += complained
    return process.returncode or 0, said.decode()


async def test_every_vector() -> None:
    status, said = await node("--vectors", VECTORS)
    assert status == 0, said
    notes = json.loads((VECTORS / "checkpoints.json").read_text())
    certificates = json.loads((VECTORS / "certificates.json").read_text())
    gaps = json.loads((VECTORS / "gaps.json").read_text())
    cosignatures = json.loads((VECTORS / "cosignatures.json").read_text())
    parts = [
        *(v for v in notes.values() if isinstance(v, list)),
        certificates["listed"],
        certificates["shown"],
        gaps["cases"],
        cosignatures["cosignatures"],
    ]
    cases = len(CASES) + sum(map(len, parts)) - len(notes["envelope_sha256"])
    assert said.endswith(f"all {cases} cases agree\n")


async def test_a_case_that_does_not_agree_is_found(tmp_path: Path) -> None:
    shutil.copytree(VECTORS, tmp_path / "vectors", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    file = tmp_path / "vectors" / "forgeries.json"
    vectors = json.loads(file.read_text())
    wanted = next(case for case in vectors["cases"] if case["name"] == "no key id")
    wanted["code"] = "BAD_SIGNATURE"
    file.write_text(json.dumps(vectors))
    status, said = await node("--vectors", tmp_path / "vectors")
    wrong = [line for line in said.splitlines() if line.startswith("WRONG")]
    assert (status, len(wrong)) == (1, 1)
    assert wrong[0] == 'WRONG forgeries.json  no key id  [2,"UNKNOWN_KEY",false] instead of [2,"BAD_SIGNATURE",false]'


class Later(SystemClock):
    def __init__(self, days: float) -> None:
        self._days = days

    def now(self) -> Instant:
        now = super().now()
        return replace(now, utc=now.utc + timedelta(days=self._days))


class Site:
    """A port that serves, a booth's chain in it, and the consumer beside it."""

    def __init__(self, port: Port) -> None:
        self.port, self.ledger = port, port.ledger()
        self.receipt = b""

    async def send(self) -> None:
        """What the ledger has grown by; the receipt for all of it."""
        async with self.port.ingest() as stub:
            booth = Stream(stub)
            held = (await booth.hello(self.ledger.hello())).durable_through
            await booth.send(held + 1, *self.ledger.envelopes[held:])
            self.receipt = (await booth.acked(self.ledger.head.seq)).receipt

    async def read(self, *options: str | Path, count: int = 0, party: Party | None = None) -> tuple[int, str]:
        assert self.port.running is not None
        office = party or self.port.office
        to = ("--port", self.port.running.address, "--gateway", self.port.gateway.certificate_path)
        mine = ("--certificate", office.certificate_path, "--key", office.key_path)
        return await node(*to, *mine, "--count", str(count or len(self.ledger.envelopes)), *options)

    def rotate(self) -> None:
        """The booth hands over to a new key, and opens a session by it."""
        new = Party(self.port.folder / "new", self.ledger.booth_id)
        old = key_id(self.ledger.device_key.public_key())
        der = new.certificate_der
        message = possession_message(self.ledger.booth_id, self.ledger.epoch, old, der)
        self.ledger.add(domain.KeyRotated(der, new.key.sign(message, ec.ECDSA(hashes.SHA256()))))
        self.ledger.device_key = new.key
        self.ledger.open_session()


def unread(ledger: Ledger) -> bytes:
    """The ledger's next event, signed and linked, and of a kind that nobody knows yet."""
    event = Event.FromString(event_payload(domain.Draft(device_event(), INSTANT), ledger.head, ()))
    event.ClearField("device_changed")
    envelope = sign(event.SerializeToString() + b"\xfa\x7f\x00", ledger.session_key)
    ledger.head = ledger.head.after(envelope_sha256(envelope))
    return envelope


async def test_a_port_is_read_over_mutual_tls(served: Port, tmp_path: Path) -> None:
    site = Site(served)
    site.ledger.grow(2)
    site.ledger.add(device_event(), evidence=(PICTURE.ref,))
    site.ledger.add(device_event(), evidence=(Evidence(EvidenceKind.FRAME, "image/jpeg", b"not here").ref,))
    await site.send()
    before = tmp_path / "before.note"
    before.write_bytes(site.receipt)
    path = EvidenceFiles(served.settings().evidence).path(PICTURE.sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PICTURE.data)
    site.ledger.envelopes.append(unread(site.ledger))
    site.rotate()
    for _ in range(4):  # more than is outstanding at a reader that does not acknowledge
        site.ledger.grow(250)
        await site.send()
    receipt, evidence = tmp_path / "receipt.note", tmp_path / "evidence"
    receipt.write_bytes(site.receipt)
    anchor = served.booth.certificate_path
    status, said = await site.read(
        *(
            "--evidence",
            evidence,
            "--note",
            before,
            "--note",
            receipt,
            "--anchor",
            anchor,
            "--booth",
            site.ledger.booth_id,
        )
    )
    lines = said.splitlines()
    assert (status, lines[-1]) == (0, "VERIFIED 1008 events of 1 chain"), said
    assert lines[0].split()[1:4] == [site.ledger.booth_id, "1", "session_opened"]
    assert f"    frame {PICTURE.sha256.hex()} {len(PICTURE.data)} bytes" in lines
    assert (evidence / PICTURE.sha256.hex()).read_bytes() == PICTURE.data
    assert f"    frame {Evidence(EvidenceKind.FRAME, 'image/jpeg', b'not here').sha256.hex()} has not arrived" in said
    assert f"{site.ledger.booth_id} 6 in quarantine: MALFORMED_EVENT" in said
    assert " key_rotated " in said
    assert lines[-3].endswith(f"by {served.gateway.identity}, 5 events")
    assert lines[-2].endswith(f"by {served.gateway.identity}, 1008 events")


async def test_deleted_events_are_passed_over_and_their_digests_checked(served: Port, tmp_path: Path) -> None:
    site = Site(served)
    for number in (1, 1, 2):
        site.ledger.add(domain.InspectionClosed(closed(f"i-{number}")))
    site.ledger.grow(1)
    await site.send()
    receipt = tmp_path / "receipt.note"
    receipt.write_bytes(site.receipt)

    def change(work: Callable[[Store], object]) -> None:
        with contextlib.closing(served.store()) as store:
            work(store)

    def end(store: Store) -> None:
        for days in (0, 366):
            files = EvidenceFiles(served.settings().evidence)
            list(EventRetention(store, files, KeptDays(365, None, None), Later(days)).run())

    change(end)
    status, said = await site.read("--note", receipt)  # signed before they went
    assert (status, said.splitlines()[-1]) == (0, "VERIFIED 5 events of 1 chain"), said
    assert said.count(" deleted under retention on ") == 3
    changed = "UPDATE event SET sha256 = zeroblob(32) WHERE seq = "
    change(lambda store: store.submit(lambda db: db.execute(changed + "3").fetchall()).result())
    status, said = await site.read()
    assert status == 0, "in the middle of deleted ones no link shows it"
    status, said = await site.read("--note", receipt)
    assert (status, said.splitlines()[-1].split()[1]) == (1, "FORK"), said
    change(lambda store: store.submit(lambda db: db.execute(changed + "4").fetchall()).result())
    status, said = await site.read()
    assert (status, said.splitlines()[-1].split()[1]) == (1, "BROKEN_CHAIN"), said


async def test_who_may_not_read_and_who_is_not_the_gateway(served: Port) -> None:
    site = Site(served)
    await site.send()
    stranger = Party(served.folder / "stranger", "spiffe://uslrd/back-office/other")
    status, said = await site.read(party=stranger)
    assert status == 2, said
    status, said = await site.read(party=served.booth)
    assert (status, "PERMISSION_DENIED: NOT_TRUSTED" in said) == (2, True), said
    status, said = await site.read("--gateway", stranger.certificate_path)
    assert status == 2, said
    status, said = await site.read("--anchor", stranger.certificate_path)
    assert (status, said.splitlines()[-1][:20]) == (1, "REFUSED UNKNOWN_KEY "), said


Change = Callable[[apsw.Connection, list[bytes]], object]


def put(db: apsw.Connection, seq: int, envelope: bytes) -> None:
    db.execute("UPDATE event SET envelope = ? WHERE seq = ?", (envelope, seq))


def flipped(seq: int, find: Callable[[bytes], int]) -> Change:
    """One bit of that event's envelope, where `find` says."""

    def change(db: apsw.Connection, envelopes: list[bytes]) -> None:
        data = bytearray(envelopes[seq - 1])
        data[find(envelopes[seq - 1])] ^= 1
        put(db, seq, bytes(data))

    return change


def turned(db: apsw.Connection, envelopes: list[bytes]) -> None:
    message = Envelope.FromString(envelopes[2])
    rest = Envelope(payload_type=message.payload_type, signatures=message.signatures).SerializeToString()
    put(db, 3, rest + Envelope(payload=message.payload).SerializeToString())


def exchanged(db: apsw.Connection, envelopes: list[bytes]) -> None:
    put(db, 3, envelopes[3])
    put(db, 4, envelopes[2])


def sql(statement: str) -> Change:
    return lambda db, _: db.execute(statement)


OF_ANOTHER = "UPDATE event SET booth_id = 'spiffe://uslrd/booth/lane-2' WHERE seq = 3"
ALTERED: dict[str, tuple[str, Change]] = {
    "the payload": ("BAD_SIGNATURE", flipped(3, lambda e: e.index(b"camera-1"))),
    "the signature": ("BAD_SIGNATURE", flipped(3, lambda e: len(e) - 70)),
    "the key id": ("UNKNOWN_KEY", flipped(3, lambda e: len(e) - 1)),
    "the payload type": ("WRONG_PAYLOAD_TYPE", flipped(3, lambda e: e.index(b"vnd.edge-agent"))),
    "the first byte": ("MALFORMED_ENVELOPE", flipped(3, lambda e: 0)),
    "the last event's payload": ("BAD_SIGNATURE", flipped(6, lambda e: e.index(b"camera-"))),
    "re-serialised": ("MALFORMED_ENVELOPE", turned),
    "two exchanged": ("GAP", exchanged),
    "one taken out": ("GAP", sql("DELETE FROM event WHERE seq = 3")),
    "one twice": ("REPLAYED", lambda db, envelopes: put(db, 4, envelopes[2])),
    "the head taken out": ("UNKNOWN_KEY", sql("DELETE FROM event WHERE seq = 1")),
    "the tail taken out": ("GAP", sql("DELETE FROM event WHERE seq = 6")),
    "under another booth's name": ("UNKNOWN_KEY", sql(OF_ANOTHER)),
}


def revoked_at_3(key: str) -> Change:
    def change(db: apsw.Connection, _: list[bytes]) -> None:
        db.execute("INSERT INTO ended_key SELECT booth_id, ?, 'KEY_REVOKED', 0 FROM chain", (key,))
        db.execute("INSERT INTO ended_key_epoch SELECT booth_id, ?, epoch, 3 FROM chain", (key,))
        db.execute("UPDATE meta SET value = value + 1 WHERE key = 'trust_version'")

    return change


@pytest.fixture
async def site(served: Port) -> Site:
    site = Site(served)
    site.ledger.grow(5)
    await site.send()
    (served.folder / "receipt.note").write_bytes(site.receipt)
    return site


async def test_an_inbox_that_was_altered_is_found_out(site: Site) -> None:
    """A port that passes on something else than what it signed for."""
    database, receipt = site.port.settings().database, site.port.folder / "receipt.note"
    altered = {"nothing": ("", sql("SELECT 1")), **ALTERED}
    altered["its key revoked at 3"] = ("KEY_REVOKED", revoked_at_3(key_id(site.ledger.device_key.public_key())))
    wrong = []
    with contextlib.closing(apsw.Connection(str(database))) as db:
        db.set_busy_timeout(5_000)
        for name, (code, change) in altered.items():
            saved = db.execute("SELECT * FROM event").fetchall()
            with db:
                change(db, site.ledger.envelopes)
            count = len(db.execute("SELECT 1 FROM event").fetchall())
            status, said = await site.read("--note", receipt, count=count)
            found = said.splitlines()[-1].split()[1] if status == 1 else ""
            if (found, status) != (code, int(bool(code))):
                wrong.append(f"{name}: {code} expected; {status}, {said.splitlines()[-1]}")
            with db:
                db.execute("DELETE FROM event")
                db.executemany(f"INSERT INTO event VALUES ({','.join('?' * len(saved[0]))})", saved)  # noqa: S608
    assert not wrong, "\n".join(wrong)


async def test_a_receipt_for_another_chain_shows_the_fork(served: Port, tmp_path: Path) -> None:
    """The port signed for one chain with the booth, and shows its back-offices another that the booth signed, too."""
    site = Site(served)
    site.ledger.grow(3)
    twin = Ledger(site.ledger.booth_id, site.ledger.device_key, site.ledger.epoch)
    await site.send()
    receipt = tmp_path / "receipt.note"
    receipt.write_bytes(site.receipt)
    twin.grow(3)
    with contextlib.closing(apsw.Connection(str(served.settings().database))) as db, db:
        db.set_busy_timeout(5_000)
        for seq, envelope in enumerate(twin.envelopes, 1):
            put(db, seq, envelope)
    status, said = await site.read()
    assert status == 0, said
    status, said = await site.read("--note", receipt)
    assert (status, said.splitlines()[-1].split()[:2]) == (1, ["REFUSED", "FORK"]), said


async def test_an_event_that_is_let_out_of_quarantine(served: Port) -> None:
    site = Site(served)
    site.ledger.grow(3)
    await site.send()
    with contextlib.closing(apsw.Connection(str(served.settings().database))) as db, db:
        db.set_busy_timeout(5_000)
        db.execute(
            "INSERT INTO quarantine SELECT cursor, booth_id, epoch, seq, 'MALFORMED_EVENT', '', 100, 1 FROM event"
            " WHERE seq = 3"
        )
    status, said = await site.read(count=5)
    assert (status, said.splitlines()[-1]) == (0, "VERIFIED 5 events of 1 chain"), said
    third, fourth, again = said.splitlines()[2:5]
    assert third.endswith(" 3 in quarantine: MALFORMED_EVENT")
    assert " 4 device_changed " in fourth
    assert again.startswith("100 ")
    assert " 3 device_changed " in again
    assert again.endswith("let out of quarantine")
    # The same event again under one more cursor, as let out from where it never was: once, or not at all.
    with contextlib.closing(apsw.Connection(str(served.settings().database))) as db, db:
        db.set_busy_timeout(5_000)
        db.execute("INSERT INTO event SELECT 200, booth_id, epoch, 200, sha256, envelope, 1 FROM event WHERE seq = 3")
        db.execute("INSERT INTO quarantine SELECT 200, booth_id, epoch, 200, code, '', 101, 1 FROM quarantine")
    status, said = await site.read(count=6)
    assert (status, said.splitlines()[-1].split()[:5]) == (1, ["REFUSED", "PROTOCOL", "at", "cursor", "101"]), said
    with contextlib.closing(apsw.Connection(str(served.settings().database))) as db, db:
        db.set_busy_timeout(5_000)
        db.execute("UPDATE quarantine SET released_cursor = NULL WHERE cursor = 3")
    status, said = await site.read(count=5)
    assert (status, said.splitlines()[-1].split()[:5]) == (1, ["REFUSED", "PROTOCOL", "at", "cursor", "101"]), said

"""A ledger as the version with schema 1 alone left it: its own statements, kept here as they were."""

import os
from importlib.resources import files
from pathlib import Path

import apsw

from edge_agent.domain.event import Draft, SessionOpened
from edge_agent.domain.evidence import Evidence
from edge_agent.ledger.evidence_files import EvidenceFiles
from edge_agent.ledger.seal import Sealed, seal
from edge_agent.ledger.signer import SessionSigner, open_signer
from edge_agent.wire.chain import Head
from tests.integration.ledger.conftest import AT, Booth, alarm, opened, picture

PICTURES = tuple(picture(3_000 + n, b"%d" % n) for n in range(4))


def write_old_ledger(booth: Booth, acked_through: int = 4, sent: tuple[Evidence, ...] = PICTURES[:2]) -> list[Sealed]:
    """Seven events, four pieces of evidence, two of them at the port; closed in good order."""
    path = booth.directory / "ledger.sqlite3"
    booth.directory.mkdir(mode=0o700)
    evidence = EvidenceFiles(booth.directory / "evidence")
    evidence.prepare()
    database = apsw.Connection(str(path))
    for pragma in ("journal_mode = wal", "synchronous = 2", "foreign_keys = 1"):
        database.execute(f"PRAGMA {pragma}").fetchall()
    epoch = os.urandom(16)
    with database:
        database.execute((files("edge_agent.ledger") / "schema" / "0001.sql").read_text())
        database.execute("PRAGMA user_version = 1")
        database.execute(f"PRAGMA application_id = {0x45644167}")
        database.execute("INSERT INTO meta VALUES ('booth_id', ?), ('epoch', ?)", (booth.booth_id.encode(), epoch))
    (booth.directory / "epoch").write_text(f"{epoch.hex()}\n")
    events = _sealed(booth, Head(booth.booth_id, epoch))
    with database:
        for event in events:
            database.execute(
                "INSERT INTO event (seq, id, kind, inspection_id, sha256, envelope) VALUES (?, ?, ?, ?, ?, ?)",
                (event.seq, event.id, event.kind, event.inspection_id, event.sha256, event.envelope),
            )
            for ref in event.evidence:
                database.execute(
                    "INSERT INTO blob (sha256, kind, media_type, size, seq) VALUES (?, ?, ?, ?, ?)",
                    (ref.sha256, ref.kind.value, ref.media_type, ref.size, event.seq),
                )
        database.execute("INSERT INTO cursor (sink, acked_through) VALUES ('port', ?)", (acked_through,))
        for one in sent:
            database.execute("UPDATE blob SET state = 'sent' WHERE sha256 = ?", (one.sha256,))
    for one in PICTURES:
        evidence.keep(one)
    database.close()
    return events


def _sealed(booth: Booth, head: Head) -> list[Sealed]:
    device = open_signer(f"file:{booth.keys}/{booth.name}.key")
    session = SessionSigner()
    drafts = [
        Draft(SessionOpened(session.public_key, "0.1"), AT),
        *(alarm(n, one) for n, one in enumerate(PICTURES)),
        opened("a"),
        alarm(9),
    ]
    events = []
    for draft in drafts:
        event = seal(draft, head, device if isinstance(draft.body, SessionOpened) else session)
        events.append(event)
        head = event.head_after
    return events


def schema_of(path: Path) -> int:
    database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    version = database.execute("PRAGMA user_version").get
    database.close()
    assert isinstance(version, int)
    return version

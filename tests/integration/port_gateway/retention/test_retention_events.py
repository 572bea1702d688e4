"""Events whose time at the port is over: the bytes go, and everything that proves the chain stays."""

import contextlib
import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.domain.retention import KeptDays
from edge_agent.wire.chain import Head
from edge_agent.wire.refused import RefusalCode, Refused
from port_gateway import retention_events
from port_gateway.cli import main
from port_gateway.clock_doubt import believe
from port_gateway.inbox import Inbox
from port_gateway.retention_events import EventRetention
from tests.integration.port_gateway.retention.desk import (
    ID,
    Desk,
    a_year_ago,
    alarmed,
    closed,
    end,
)
from tests.unit.port_gateway.signing import Ledger, device_event

# Deletes four inspections a step, and says so; by a clock of years later.
KILLED = """
import sys, time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.retention import KeptDays
from port_gateway import retention_events
from port_gateway.evidence import EvidenceFiles
from port_gateway.store import Store

class Later(SystemClock):
    def now(self):
        now = super().now()
        return replace(now, utc=now.utc + timedelta(days=3000))

retention_events.STEP = 4
store, files = Store(Path(sys.argv[1])), EvidenceFiles(Path(sys.argv[2]))
for step in retention_events.EventRetention(store, files, KeptDays(1, 1, 1), Later()).run():
    print(step, flush=True)
    time.sleep(0.2)
"""


def gone(desk: Desk) -> list[int]:
    with desk.store.reading() as db:
        return [int(str(row[0])) for row in db.execute("SELECT seq FROM event WHERE envelope = x'' ORDER BY seq")]


def test_each_inspection_goes_whole_when_its_time_is_over(desk: Desk) -> None:
    a_year_ago(desk)
    desk.clock.forward(364.9)
    desk.run()
    assert end(desk) == 0
    desk.clock.forward(0.2)
    assert [(over.inspection_id, len(over.cursors)) for over in desk.events.over()] == [
        (ID.format(1), 2),
        (ID.format(3), 1),
    ]
    assert gone(desk) == []
    assert end(desk) == 3
    assert gone(desk) == [2, 3, 7]
    desk.clock.forward(1_825)
    assert end(desk) == 2
    assert gone(desk) == [2, 3, 5, 6, 7]
    desk.clock.forward(36_500)
    assert end(desk) == 0, "sessions and devices stay"


def test_what_keeps_an_inspection(desk: Desk) -> None:
    config = str(desk.port.write_config())
    a_year_ago(desk)
    desk.arrive(b"crop")
    desk.receive(closed(4))  # the end of the chain
    assert end(desk) == 0
    assert main(["retention", "hold", config, ID.format(3), "--reason", "court order 17"]) == 0
    desk.clock.forward(366)
    assert end(desk) == 0, "evidence is here, an order holds, and the chain needs its end"
    assert desk.run() == 1
    assert main(["retention", "release", config, ID.format(3), "--reason", "case closed"]) == 0
    desk.clock.forward(1.1)
    assert end(desk) == 3
    desk.receive(device_event())
    desk.clock.forward(1.1)
    assert end(desk) == 1
    assert gone(desk) == [2, 3, 7, 9]


def test_the_end_of_what_another_booth_said_of_an_inspection(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    other, config = Ledger(desk.port.other_booth.identity, desk.port.other_booth.key), str(desk.port.write_config())
    desk.receive(closed(1))
    desk.receive(alarmed(1))
    desk.receive(device_event())
    desk.receive(closed(1), ledger=other)
    desk.receive(device_event(), ledger=other)
    assert end(desk) == 0
    desk.clock.forward(366)
    assert end(desk) == 1
    decide = ["decide", config, ID.format(1), "hold", "--officer", "R. Vega", "--reason", "court order 17", "--booth"]
    assert main([*decide, desk.port.booth.identity]) == 0
    assert main(["retention", "hold", config, ID.format(1), "--reason", "court order 17"]) == 0
    capsys.readouterr()
    assert main([*decide, desk.port.other_booth.identity]) != 0
    assert "deleted under retention" in capsys.readouterr().err
    desk.clock.forward(3_650)
    assert end(desk) == 0


def test_other_days_count_for_what_is_here(desk: Desk) -> None:
    a_year_ago(desk)
    desk.clock.forward(31)
    desk.run()
    assert end(desk) == 0
    assert sum(EventRetention(desk.store, desk.files, KeptDays(30, None, None), desk.clock).run()) == 3


def test_a_long_inspection_goes_in_parts_and_waits_as_a_whole(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_events, "TOGETHER", 2)
    config = str(desk.port.write_config())
    for _ in range(5):
        desk.receive(closed(1))
    desk.receive(device_event())
    assert end(desk) == 0
    assert main(["retention", "hold", config, ID.format(1), "--reason", "court order 17"]) == 0
    desk.clock.forward(366)
    assert end(desk) == 0
    assert main(["retention", "release", config, ID.format(1), "--reason", "case closed"]) == 0
    desk.clock.forward(2)
    assert end(desk) == 5


def test_a_refused_event_is_kept_with_its_alarm_for_the_longest_time(desk: Desk) -> None:
    inbox, head = Inbox(desk.store, desk.clock), Head(desk.ledger.booth_id, desk.ledger.epoch)
    refused = Refused(RefusalCode.FORK, "another event", 5)
    query = "SELECT length(envelope), hex(envelope) FROM alarm"

    def alarms() -> list[tuple[object, ...]]:
        with desk.store.reading() as db:
            return list(db.execute(query).fetchall())

    inbox.alarm(head, refused, b"7ABC123 " * 9).result()
    desk.clock.forward(3_649)
    assert end(desk) == 0
    assert [row[0] for row in alarms()] == [72]
    desk.clock.forward(2)
    assert end(desk) == 0
    [row] = alarms()
    assert row[1] == hashlib.sha256(b"7ABC123 " * 9).hexdigest().upper()
    inbox.alarm(head, refused, b"7ABC123 " * 9).result()  # the same again
    desk.clock.forward(3_651)
    assert end(desk) == 0
    assert len(alarms()) == 1


def test_the_bytes_are_in_no_file_of_the_inbox(desk: Desk) -> None:
    a_year_ago(desk)
    path = desk.store.path
    with desk.store.reading() as db:
        db.execute("SELECT 1").fetchall()
    assert b"papers seen" in path.read_bytes() + Path(f"{path}-wal").read_bytes()
    desk.clock.forward(366)
    desk.run()
    assert end(desk) == 3
    assert b"papers seen" in Path(f"{path}-wal").read_bytes(), "the log has what the file no longer shows"
    now = round(desk.clock.now().utc.timestamp() * 1e6)
    desk.store.submit(lambda db: believe(db, now)).result()
    with desk.store.reading() as db:  # somebody reads for long: nobody waits for him
        db.execute("SELECT 1 FROM event").fetchall()
        assert desk.worker().turn() == 0
    assert desk.worker().turn() == 0
    for name in (path, Path(f"{path}-wal")):
        assert b"papers seen" not in name.read_bytes(), "a gateway runs for years"
    desk.receive(device_event())


def test_a_kill_in_the_middle_leaves_whole_inspections(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(desk.port.write_config())
    for number in range(12):
        desk.receive(closed(number))
    desk.receive(device_event())
    end(desk)
    desk.store.close()
    data = desk.port.settings()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(data.database), str(data.evidence)], stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"4\n"
        run.send_signal(signal.SIGKILL)
    assert main(["verify", config, "--json"]) == 0
    went = json.loads(capsys.readouterr().out)["events_deleted"]
    assert went in (4, 8)
    with contextlib.closing(desk.port.store()) as store:
        with store.reading() as db:
            left = db.execute("SELECT count(*) FROM event WHERE envelope = x''").get
            assert left == went == db.execute("SELECT sum(events) FROM event_deletion").get
        desk.store = store
        desk.clock.forward(4_000)
        assert end(desk) == 12 - went

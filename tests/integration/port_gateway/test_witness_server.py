"""The witness's own side: what it answers over HTTP, and what it knows after it was killed."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import (
    IdentityInvalid,
    PortUnreachable,
    SettingsInvalid,
    StoreCorrupt,
    StoreFailed,
    StoreFull,
)
from edge_agent.wire.add_checkpoint import MAX_REQUEST_BYTES, Declined, Submission, opened
from edge_agent.wire.checkpoint import Checkpoint
from edge_agent.wire.cosignature import VerifierKey
from edge_agent.wire.tree import consistency_proof
from port_gateway.cli import main
from port_gateway.http_post import post
from port_gateway.witness_command.journal import Journal, make_journal
from port_gateway.witness_command.server import MAX_CONNECTIONS, Cosigner, WitnessServer
from port_gateway.witness_command.settings import load_key, make_key, read_witness
from tests.certificates import certificates
from tests.integration.port_gateway.witnesses import Command
from tests.vectors.make_checkpoint_vectors import HELD, ORIGIN, by_gateway, root
from tests.vectors.make_cosignature_vectors import FILE, Nodes

VECTORS = json.loads(FILE.read_text())
SETTINGS = """\
name: witness.example/w1
key: witness.key
state: witness.sqlite
listen: 127.0.0.1:0
logs: ["{log}"]
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "witness.yaml"
    path.write_text(SETTINGS.format(log=VECTORS["log"]))
    assert main(["witness", "init", str(path)]) == 0
    return path


def submission(old: int, size: int) -> bytes:
    proof = consistency_proof(Nodes(), old, size) if 0 < old < size else []
    return Submission(old, tuple(proof), by_gateway(Checkpoint(ORIGIN, size, root(size), HELD)).encode()).encode()


def ask(address: str, body: bytes, path: str = "/add-checkpoint") -> tuple[int, str, bytes]:
    return post(f"http://{address}{path}", body, {}, 10, 4096, "the witness")


@contextlib.contextmanager
def serving(path: Path) -> Iterator[tuple[str, Journal]]:
    """Its address and its state, in this process."""
    settings = read_witness(path)
    with contextlib.closing(Journal(settings.state)) as journal:
        cosigner = Cosigner(settings.name, load_key(settings.key), settings.known, journal, SystemClock())
        server = WitnessServer(settings.address, cosigner, settings.context())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", journal
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def test_a_witness_that_is_killed_forgets_nothing(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    with Command(settings) as run:  # and SIGKILL as soon as it has answered
        for old, size in ((0, 3), (3, 11)):
            status, kind, body = ask(run.ready["address"], submission(old, size))
            assert (status, kind, body[:3]) == (200, "text/plain", b"\xe2\x80\x94")
    with serving(settings) as (address, _):
        assert ask(address, submission(0, 3)) == (409, "text/x.tlog.size", b"11\n")
        assert ask(address, submission(11, 11))[0] == 200
    assert main(["witness", "show", str(settings), "--json"]) == 0
    (log,) = json.loads(capsys.readouterr().out)["logs"]
    assert (log["origin"], log["size"], log["root"]) == (ORIGIN, 11, root(11).hex())


def test_what_it_answers(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(settings) as (address, journal):
        for case in VECTORS["submissions"]:
            journal._db.execute("DELETE FROM log")
            if case["seen"]:
                assert ask(address, submission(0, case["seen"]))[0] == 200
            status, kind, body = ask(address, case["body"].encode())
            assert status == case["status"], case["name"]
            assert (kind == "text/x.tlog.size") is (status == 409), case["name"]
            if status == 409:
                assert body == b"%d\n" % case["seen"]
        assert ask(address, submission(0, 3), "/other")[0] == 404
        many = by_gateway(Checkpoint(ORIGIN, 2**63, root(3), HELD)).encode()
        assert ask(address, Submission(0, (), many).encode())[0] == 400
        assert ask(address, b"x" * (MAX_REQUEST_BYTES + 1))[0] == 413
        assert ask(address, submission(0, 3))[0] == 200
        connection = http.client.HTTPConnection(address, timeout=10)
        with contextlib.closing(connection):  # several on one connection
            for _ in range(2):
                connection.request("POST", "/add-checkpoint", submission(0, 3))
                response = connection.getresponse()
                assert (response.status, response.read()) == (409, b"3\n")
            connection.request("POST", "/add-checkpoint", iter([submission(0, 3)]))  # chunked
            assert connection.getresponse().status == 411
        with socket.create_connection((urlsplit(f"//{address}").hostname, urlsplit(f"//{address}").port)) as bare:
            bare.sendall(b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: -5\r\n\r\n")
            assert b" 411 " in bare.recv(100)
    capsys.readouterr()
    assert main(["witness", "show", str(settings), "--json"]) == 1  # it has refused forks
    refused = json.loads(capsys.readouterr().out)["refusals"]
    assert {(each["status"], each["seen_size"]) for each in refused} >= {(422, 7), (409, 11)}
    log = [VerifierKey.parse(VECTORS["log"])]
    for each in refused:
        if each["seen_size"] == 7:  # of a fork both notes are kept, each signed by the log
            assert [opened(note.encode(), log).size for note in each["notes"]] == [7, 11]


def test_over_tls_and_with_more_peers_than_it_has_room_for(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = certificates(tmp_path)
    own = f"tls: {{certificate: {made.server}, key: {made.server_key}}}\n"
    settings.write_text(settings.read_text().replace("127.0.0.1:0", "0.0.0.0:0") + own)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
    with serving(settings) as (address, _), contextlib.ExitStack() as stack:
        url = f"https://{address}/add-checkpoint"
        assert post(url, submission(0, 3), {}, 10, 4096, "it").status == 200
        mute = [
            stack.enter_context(socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))))
            for _ in range(MAX_CONNECTIONS + 3)
        ]
        for each in mute[MAX_CONNECTIONS:]:  # the last ones are turned away at once
            each.settimeout(20)
            assert each.recv(1) == b""
        mute[MAX_CONNECTIONS - 1].setblocking(False)
        with pytest.raises(BlockingIOError):  # and the others are not
            mute[MAX_CONNECTIONS - 1].recv(1)
        for each in mute:
            each.close()
        deadline = SystemClock().now().monotonic_ns + 20_000_000_000
        while SystemClock().now().monotonic_ns < deadline:
            with contextlib.suppress(PortUnreachable):
                assert post(url, submission(3, 7), {}, 10, 4096, "it").status == 200
                break
        else:
            pytest.fail("it does not answer again")


def test_settings_that_are_none(settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = settings.read_text()
    for old, new, wrong in (
        ("127.0.0.1:0", "0.0.0.0:0", "without `tls` a witness listens on loopback alone"),
        ("witness.example/w1", "witness example", "is no name of a key"),
        (VECTORS["log"], VECTORS["witnesses"][0], "the key of a witness (type 0x04) is no log's"),
        (VECTORS["log"], VECTORS["log"][:-4] + "AAAA", "is no verifier key"),
        ("logs:", "log:", "log"),
    ):
        settings.write_text(text.replace(old, new))
        with pytest.raises(SettingsInvalid, match="(?s)" + wrong.replace("(", "\\(").replace(")", "\\)")):
            read_witness(settings)
    settings.write_text(text)
    assert main(["witness", "init", str(settings)]) == 2  # never a second time
    assert "File exists" in capsys.readouterr().err
    key = tmp_path / "witness.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o640)
    with pytest.raises(IdentityInvalid, match="others may read this key"):
        load_key(key)
    (tmp_path / "witness.sqlite").unlink()
    key.chmod(0o600)
    assert main(["witness", "init", str(settings)]) == 2
    assert not (tmp_path / "witness.sqlite").exists()  # an old key with an empty state would cosign a second version
    capsys.readouterr()
    assert main(["witness", "serve", str(settings)]) == 2
    assert "what this witness cosigned is not there" in capsys.readouterr().err


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    make_journal(tmp_path / "state")
    with contextlib.closing(Journal(tmp_path / "state")) as journal:
        yield journal


def advance(journal: Journal, old: int, size: int) -> int:
    log = [VerifierKey.parse(VECTORS["log"])]
    body = submission(old, size)
    note = body.partition(b"\n\n")[2]
    proof = tuple(consistency_proof(Nodes(), old, size)) if 0 < old < size else ()
    return journal.advance(Submission(old, proof, note), opened(note, log), body, lambda: 7)


def test_what_cannot_be_kept_is_not_cosigned(journal: Journal, tmp_path: Path) -> None:
    assert advance(journal, 0, 3) == 7
    pages: Any = journal._db.execute("PRAGMA page_count").get
    journal._db.execute(f"PRAGMA max_page_count={pages}")
    journal._db.execute("CREATE TEMP TRIGGER full BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'full'); END")
    with pytest.raises((StoreFull, StoreFailed)):
        advance(journal, 3, 7)
    with pytest.raises(StoreFailed, match="has failed before"):
        advance(journal, 3, 7)
    with contextlib.closing(Journal(tmp_path / "state")) as again:
        assert [log.size for log in again.logs()] == [3]
        assert advance(again, 3, 7) == 7
        with pytest.raises(Declined):
            advance(again, 3, 7)
    (tmp_path / "other").write_bytes(b"x" * 4096)
    with pytest.raises(StoreCorrupt):
        Journal(tmp_path / "other")


def test_a_key_has_so_many_logs(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("port_gateway.witness_command.journal.MAX_LOGS", 0)
    with pytest.raises(Declined) as caught:
        advance(journal, 0, 3)
    assert caught.value.status == 429


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    with pytest.raises(IdentityInvalid, match="cannot be written: File exists"):
        make_key(tmp_path / "key")

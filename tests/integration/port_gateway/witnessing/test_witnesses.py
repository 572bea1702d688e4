"""Receipts that real witnesses cosign over HTTP, and whatever goes wrong with them."""

import asyncio
import contextlib
import copy
import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from edge_agent.domain.errors import SettingsInvalid, StoreFailed
from edge_agent.wire.checkpoint import split_note
from edge_agent.wire.cosignature import cosign, cosignatures, witness_key
from port_gateway.cli import main
from port_gateway.config_witnesses import Witnesses as Section
from port_gateway.config_witnesses import asked
from port_gateway.serve import running
from port_gateway.witness_client import MAX_ANSWER_BYTES
from port_gateway.witness_courier import Courier
from port_gateway.witnessed import best_witnessed
from tests.integration.port_gateway.conftest import Port, Stream
from tests.integration.port_gateway.witnesses import EVERY_S, Witness, WitnessDesk, statements, witness


def shown(desk: WitnessDesk, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    return main(["witnesses", str(desk.config())]), capsys.readouterr().out


def test_two_of_three_cosign_one_receipt(
    desk: WitnessDesk, one: Witness, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = desk.ledger.booth_id, desk.ledger.epoch
    with witness(tmp_path / "w2", desk.port.gateway, "witness.example/w2") as two:
        with witness(tmp_path / "w3", desk.port.gateway, "witness.example/w3") as gone:
            pass
        policy = desk.policy(one.line("a"), two.line("b"), gone.line("c"), quorum="2")
        assert desk.turn(desk.witnesses(policy)) == [0.0, 0.0, EVERY_S]
        with desk.store.reading() as db:
            receipt = best_witnessed(db, chain, 2, policy)
        assert receipt is not None
        said, found = receipt.verified()
        assert (said.size, {each.witness for each in found}) == (4, {one.key, two.key})
        assert cosignatures(split_note(receipt.note)[0], split_note_end(receipt.cosigned(policy)[0]), policy.keys())
        status, out = shown(desk, capsys)
        assert (status, desk.faults()) == (1, {"WITNESS_UNREACHABLE"})
        assert "4 events, 4 of them witnessed by the quorum; the newest receipt by 2 of 3" in out
        # The third comes back, and the port has been restarted: the same receipt gets its cosignature.
        with witness(tmp_path / "w3", desk.port.gateway, "witness.example/w3") as back:
            policy = desk.policy(one.line("a"), two.line("b"), back.line("c"), quorum="all")
            assert desk.turn(desk.witnesses(policy)) == [0.0] * 3
            status, out = shown(desk, capsys)
            assert (status, desk.faults()) == (0, set()), out
            assert "the newest receipt by 3 of 3" in out
            with desk.store.reading() as db:
                whole = best_witnessed(db, chain, 2, policy)
            assert whole is not None
            assert whole.note == receipt.note


def split_note_end(note: bytes) -> bytes:
    return note.rpartition(b"\n\n")[2]


def test_a_chain_goes_on_and_a_witness_that_was_away_gets_the_newest(desk: WitnessDesk, one: Witness) -> None:
    asks = desk.witnesses(desk.policy(one.line("a")))
    desk.turn(asks)
    assert [log.size for log in one.journal.logs()] == [4]
    desk.turn(asks)  # nothing has grown, and nobody is asked
    for grown in (256, 3):  # more than a tile
        desk.receive(grown)
        asks.turn()
    desk.turn(asks)
    assert [log.size for log in one.journal.logs()] == [263]
    desk.receive(2)
    statements(desk, "DELETE FROM tile")  # as in a chain that a gateway of schema 1 left
    desk.turn(asks)
    assert [log.size for log in one.journal.logs()] == [265]
    with desk.store.reading() as db:
        sizes = db.execute("SELECT size FROM witnessed ORDER BY size").fetchall()
    assert sizes == [(4,), (263,), (265,)]
    assert (desk.faults(), desk.alarms(), one.journal.refusals()) == (set(), [], [])


def other_port(desk: WitnessDesk, folder: Path, same: int, grown: int) -> Iterator[WitnessDesk]:
    """A port with the same key that holds another chain of the same booth and epoch from event `same` + 1 on."""
    port = copy.copy(desk.port)
    port.folder = folder
    folder.mkdir()
    port.trust(port.booth)
    with contextlib.closing(port.store()) as store:
        other = WitnessDesk.__new__(WitnessDesk)
        other.port, other.store = port, store
        other.ledger = copy.copy(desk.ledger)
        other.ledger.envelopes = desk.ledger.envelopes[:same]
        other.ledger.head = desk.head_at(same)
        other.receive(grown)
        yield other


@pytest.mark.parametrize("size", [4, 9], ids=["the same size", "further on"])
def test_a_fork_is_refused_and_named(
    desk: WitnessDesk,
    one: Witness,
    tmp_path: Path,
    size: int,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk.turn(desk.witnesses(desk.policy(one.line("a"))))
    for other in other_port(desk, tmp_path / "other", 2, size - 2):
        policy = other.policy(one.line("a"))
        for _ in range(3):  # said once
            other.turn(other.witnesses(policy))
        assert other.faults() == {"WITNESS_FORK"}
        (alarm,) = other.alarms()
        assert alarm[0] == "WITNESS_FORK"
        assert "witness.example/w1 cosigned another chain" in alarm[1]
        assert [record.levelno for record in caplog.records if "WITNESS_FORK" in record.message] == [logging.ERROR]
        status, out = shown(other, capsys)
        assert (status, "WITNESS_FORK" in out) == (1, True)
    assert [log.size for log in one.journal.logs()] == [4]
    (refusal,) = one.journal.refusals()  # with the two receipts, which prove it
    assert refusal.seen_size == 4
    desk.receive(2)
    desk.turn(desk.witnesses(desk.policy(one.line("a"))))  # the honest chain goes on
    assert [log.size for log in one.journal.logs()] == [6]


def test_a_port_that_was_set_back(desk: WitnessDesk, one: Witness, tmp_path: Path) -> None:
    desk.turn(desk.witnesses(desk.policy(one.line("a"))))
    for other in other_port(desk, tmp_path / "other", 2, 0):
        asks = other.witnesses(other.policy(one.line("a")))
        other.turn(asks)
        assert other.faults() == {"WITNESS_AHEAD"}
        assert other.alarms()[0][1].startswith("witness.example/w1 cosigned 4 events of spiffe://uslrd/booth/lane-1/")
        other.ledger.envelopes = list(desk.ledger.envelopes)  # the booth sends again what it keeps
        other.receive_kept()
        other.turn(asks)
        assert other.faults() == set()
    assert one.journal.refusals() == []


class Liar:
    """A witness that answers as it is told."""

    def __init__(self, answer: Callable[[bytes], tuple[int, str, bytes]]) -> None:
        self.asked: list[bytes] = []
        self.release = threading.Event()
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                liar.asked.append(body)
                status, kind, said = answer(body)
                if status == 0:
                    liar.release.wait(30)
                    return
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(said)))
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> str:
        self.thread.start()
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


SIZE = "text/x.tlog.size"


ANSWERS = (
    ((404, "text/plain", b""), "WITNESS_UNKNOWN_LOG", 1),
    ((403, "text/plain", b""), "WITNESS_LOG_KEY_REFUSED", 1),
    ((400, "text/plain", b""), "WITNESS_REFUSED", 1),
    ((302, "text/plain", b""), "WITNESS_REFUSED", 1),
    ((429, "text/plain", b""), "WITNESS_UNREACHABLE", 1),
    ((500, "text/plain", b""), "WITNESS_UNREACHABLE", 1),
    ((200, "text/plain", b"x" * (MAX_ANSWER_BYTES + 1)), "WITNESS_UNREACHABLE", 1),
    ((200, "text/plain", b""), "WITNESS_NO_COSIGNATURE", 1),
    ((200, "text/html", b"<p>welcome</p>\n"), "WITNESS_BAD_COSIGNATURE", 1),
    ((409, "text/plain", b"2\n"), "WITNESS_REFUSED", 1),
    ((409, SIZE, b"two\n"), "WITNESS_REFUSED", 1),
    ((409, SIZE, b"9" * 30), "WITNESS_REFUSED", 1),
    ((409, SIZE, b"0\n"), "WITNESS_BUSY", 1),
    ((409, SIZE, b"2\n"), "WITNESS_BUSY", 2),
    ((409, SIZE, b"5\n"), "WITNESS_AHEAD", 1),
    ((422, "text/plain", b""), "WITNESS_FORK", 1),
)


def test_what_a_witness_may_answer(desk: WitnessDesk, one: Witness) -> None:
    answer = ANSWERS[0][0]
    liar = Liar(lambda body: answer)
    with liar as address:
        policy = desk.policy(f"witness a {one.key} {address}\n")
        for answer, fault, asked in ANSWERS:
            del liar.asked[:]
            desk.turn(desk.witnesses(policy, timeout_s=5))
            assert (desk.faults() - {"WITNESS_UNREACHABLE"} or desk.faults()) == {fault}, answer
            assert len(liar.asked) == asked, answer
            desk.store.submit(lambda db: db.execute("DELETE FROM witness_fault").fetchall()).result()
    with desk.store.reading() as db:
        assert db.execute("SELECT count(*) FROM cosignature").get == 0


def test_cosignatures_that_are_none(desk: WitnessDesk, one: Witness) -> None:
    """By another key, over another text, at no time that a pack could state, and by the right one among others."""
    mine, other = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    answers = [
        lambda text: cosign(text, "w", other, 7).line,
        lambda text: cosign(text.replace(b"\n4\n", b"\n5\n"), "w", mine, 7).line,
        lambda text: cosign(text, "w", mine, 253_402_300_800).line,
        lambda text: cosign(text, "v", other, 7).line + cosign(text, "w", mine, 7).line,
    ]
    said = []
    key = cosign(b"x\n", "w", mine, 7).witness
    for make in answers:
        with Liar(_saying(make)) as address:
            desk.turn(desk.witnesses(desk.policy(f"witness a {key} {address}\n")))
        said.append(desk.faults())
    assert said == [{"WITNESS_NO_COSIGNATURE"}, {"WITNESS_BAD_COSIGNATURE"}, {"WITNESS_BAD_COSIGNATURE"}, set()]


def _saying(make: Callable[[bytes], bytes]) -> Callable[[bytes], tuple[int, str, bytes]]:
    return lambda body: (200, "text/plain", make(split_note(body.partition(b"\n\n")[2])[0]))


def test_a_liar_does_not_crowd_out_the_alarms(desk: WitnessDesk, one: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("port_gateway.alarms.MAX_ALARMS_A_CODE", 3)
    sizes = iter(range(5, 1000))
    with Liar(lambda body: (409, SIZE, b"%d\n" % next(sizes))) as address:
        asks = desk.witnesses(desk.policy(f"witness a {one.key} {address}\n"))
        for _ in range(5):
            desk.turn(asks)
    assert len(desk.alarms()) == 3


def test_the_gateway_says_its_key(desk: WitnessDesk, one: Witness, capsys: pytest.CaptureFixture[str]) -> None:
    desk.policy(one.line("a"))
    assert main(["witnesses", str(desk.config()), "--log-key", "--json"]) == 0
    key = json.loads(capsys.readouterr().out)["log_key"]
    assert key.startswith("spiffe://uslrd/gateway/main+")
    assert main(["witnesses", str(desk.config()), "--policy"]) == 0
    assert capsys.readouterr().out == f"witness a {one.key}\ngroup enough 1 a\nquorum enough\n"


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("", "no address"),
        ("http://witness.example/w1", "http:// is for a witness on this machine alone"),
        ("http://192.0.2.1", "http:// is for a witness on this machine alone"),
        ("ftp://witness.example", "no address that can be asked"),
        ("https://me:secret@witness.example", "no address that can be asked"),
        ("https://witness.example?x", "no address that can be asked"),
        ("https://witness.example:70000", "no address"),
        ("https:///w1", "no address that can be asked"),
    ],
)
def test_where_a_witness_may_be(tmp_path: Path, url: str, wrong: str) -> None:
    key = witness_key("w", ed25519.Ed25519PrivateKey.generate().public_key())
    path = tmp_path / "policy"
    path.write_text(f"witness a {key} {url}\nquorum a\n")
    with pytest.raises(SettingsInvalid, match=re.escape(f"witness a: {wrong}")):
        asked(path)
    for good in ("https://witness.example:8443/w1", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost"):
        path.write_text(f"witness a {key} {good}\nquorum a\n")
        assert asked(path).witnesses["a"].url == good


def test_policies_that_a_gateway_cannot_use(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    with pytest.raises(StoreFailed, match="cannot be read"):
        asked(path)
    for data, wrong in (
        (b"quorum none\n", "names no witness"),
        (b"\xff", "not UTF-8"),
        (b"x" * 70_000, "at most 65536"),
    ):
        path.write_bytes(data)
        with pytest.raises(SettingsInvalid, match=wrong):
            asked(path)


def test_nobody_listens(desk: WitnessDesk, one: Witness) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        policy = desk.policy(f"witness a {one.key} http://127.0.0.1:{silent.getsockname()[1]}\n")
        asks = desk.witnesses(policy, timeout_s=0.05)
        waits = [desk.turn(asks)[0] for _ in range(4)]
    assert waits == [EVERY_S, 3 * EVERY_S, 7 * EVERY_S, 7 * EVERY_S]
    waited: list[float | None] = []

    class Recorded(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout)
            self.set()
            return True

    courier = Courier(replace(asks.couriers[0]._on, stopped=Recorded()), policy.witnesses["a"])
    courier.ring()
    courier.run()  # leaves it alone for so long
    assert waited == [EVERY_S]
    assert desk.faults() == {"WITNESS_UNREACHABLE"}


@pytest.mark.parametrize("silent", [False, True], ids=["quick", "silent"])
async def test_a_gateway_waits_for_no_witness(port: Port, tmp_path: Path, silent: bool) -> None:
    ledger = port.ledger()
    liar = Liar(lambda body: (0, "", b""))
    with witness(tmp_path / "w1", port.gateway) as one, liar as mute:
        policy = tmp_path / "witnesses.policy"
        policy.write_text(f"witness a {one.key} {mute if silent else one.address}\nquorum a\n")
        section = Section(policy=policy, every_min=0.002, timeout_s=60)
        async with running(port.settings().model_copy(update={"witnesses": section})) as gateway:
            port.running = gateway
            async with port.ingest() as stub:
                stream = Stream(stub)
                await stream.hello(ledger.hello())
                for sent, size in ((0, 1), (1, 3), (3, 5)):
                    await stream.send(sent + 1, *ledger.envelopes[sent:])
                    await stream.acked(size)
                    async with asyncio.timeout(20):
                        while not (liar.asked if silent else [log for log in one.journal.logs() if log.size >= size]):
                            await asyncio.sleep(0.01)
                    ledger.grow(2)
            begun = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - begun < 20
    assert len(liar.asked) == silent

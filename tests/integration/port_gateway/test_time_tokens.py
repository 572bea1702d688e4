"""Time tokens of a real authority on receipts: asked for, verified, kept, exported; and whatever goes wrong with it."""

import asyncio
import contextlib
import logging
import shutil
import socket
import ssl
import time
from pathlib import Path

import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import IdentityInvalid, PortUnreachable
from edge_agent.wire.checkpoint import read_checkpoint
from edge_agent.wire.identity import key_id
from edge_agent.wire.time_token import MAX_RESPONSE_BYTES, TimeQuery, TimeToken, TimeTokenInvalid
from port_gateway.cli import main
from port_gateway.config import Time
from port_gateway.serve import running
from port_gateway.time_authority import TimeAuthority
from port_gateway.time_tokens import first_stamped
from tests.certificates import certificates
from tests.integration.port_gateway.conftest import Port, Stream
from tests.integration.port_gateway.desk import EVERY_S, Desk
from tests.time_authority import Tsa
from tests.unit.pack.port_of_entry import sign_again, verify
from tests.unit.pack.small import flip
from tests.unit.port_gateway.signing import Ledger, Party


def test_a_chain_that_has_grown_gets_a_token_and_no_other(desk: Desk) -> None:
    tokens = desk.tokens()
    assert tokens.first_wait_s() == 0
    assert tokens.turn() == tokens.turn() == EVERY_S
    assert len(desk.tsa.queries) == 1
    stamped = desk.stamped(4)
    assert stamped is not None
    assert read_checkpoint(stamped.note).size == 4
    assert abs((stamped.token.verified(stamped.note) - SystemClock().now().utc).total_seconds()) < 60
    assert desk.stamped(5) is None
    assert EVERY_S - 60 < desk.tokens().first_wait_s() <= EVERY_S  # after a restart
    desk.receive()
    tokens.turn()
    first, later = desk.stamped(2), desk.stamped(5)
    assert first == stamped
    assert later is not None
    assert read_checkpoint(later.note).size == 7


def test_the_pack_holds_the_first_token_that_covers_the_event(desk: Desk) -> None:
    tokens = desk.tokens()
    tokens.turn()
    desk.receive()
    tokens.turn()
    desk.receive()
    for seq, size in ((2, 4), (5, 7)):
        pack = desk.export(seq)
        assert read_checkpoint((pack / "time" / "receipt").read_bytes()).size == size
        status, said = verify(pack)
        assert status == 0, said
        at = desk.stamped(seq)
        assert at is not None
        stated = at.token.verified(at.note)
        assert f"which a time-stamp authority saw at {stated:%Y-%m-%dT%H:%M:%SZ} by its own clock" in said
        assert at.token.root_sha256 in said
        page = (pack / "README.html").read_text()
        assert f"saw that statement of the gateway's at {stated:%Y-%m-%d %H:%M:%S} UTC by its own clock" in page
        assert at.token.root_sha256 in page
    plain = desk.export(9)  # no token covers it yet
    assert not (plain / "time").exists()
    status, said = verify(plain)
    assert (status, "time-stamp" in said) == (0, False)


def test_the_root_that_the_verifier_trusts(desk: Desk, tmp_path: Path) -> None:
    desk.tokens().turn()
    pack = desk.export()
    status, said = verify(pack, "-t", str(desk.tsa.root_path))
    assert (status, "under the root certificate that was given with -t" in said) == (0, True), said
    status, said = verify(pack, "-t", str(Tsa(tmp_path / "other").root_path))
    assert (status, "not a time token on time/receipt by an authority under" in said) == (1, True), said
    assert verify(pack, "-t", "nowhere.pem")[0] == 2


def test_a_changed_byte_in_the_pack(desk: Desk, tmp_path: Path) -> None:
    desk.tokens().turn()
    pack = desk.export()
    for name in ("time/receipt", "time/receipt.tsr", "time/authority.pem"):
        size = (pack / name).stat().st_size
        for where in (0, size // 2, size - 1):
            data = (pack / name).read_bytes()
            flip(pack / name, where)
            status, said = verify(pack)
            assert (status, f"{name}: its bytes are not those of the manifest" in said) == (1, True), said
            (pack / name).write_bytes(data)


def resigned(desk: Desk, pack: Path) -> str:
    """What the script says when a forger has the gateway's key: the manifest is of the files as they are now."""
    sign_again(pack, desk.port.gateway)
    status, said = verify(pack)
    assert (status, "VERIFIED" in said) == (1, False), said
    return said.splitlines()[-1].removeprefix("FAILED: ")


def test_what_does_not_verify_is_never_exported(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.tokens().turn()
    other = desk.tsa.granted(TimeQuery(b"another note\n").data)
    desk.store.submit(lambda db: db.execute("UPDATE time_token SET response = ?", (other,)).fetchall()).result()
    command = ["export", str(desk.port.write_config()), "--booth", desk.ledger.booth_id, "--seq", "2"]
    assert main([*command, str(desk.port.folder / "pack")]) != 0
    assert "the time token does not verify: Mismatch between messages" in capsys.readouterr().err
    assert not (desk.port.folder / "pack").exists()


@pytest.fixture
def two(desk: Desk) -> tuple[Desk, Path, Path]:
    """The packs of two events with a token each."""
    tokens = desk.tokens()
    tokens.turn()
    desk.receive()
    tokens.turn()
    return desk, desk.export(1), desk.export(5)


def test_what_does_not_rest_on_the_manifest(two: tuple[Desk, Path, Path], tmp_path: Path) -> None:
    desk, pack, later = two
    root = (pack / "time" / "authority.pem").read_bytes()
    shutil.copy(later / "time" / "receipt.tsr", pack / "time" / "receipt.tsr")
    assert resigned(desk, pack).startswith("time/receipt.tsr: not a time token on time/receipt by an authority under")
    shutil.copy(later / "time" / "receipt", pack / "time" / "receipt")
    assert "its receipt is not the one in time/receipt" in resigned(desk, pack)
    other = Tsa(tmp_path / "other").root_path.read_bytes()
    (later / "time" / "authority.pem").write_bytes(other)
    assert resigned(desk, later).startswith("time/receipt.tsr: not a time token")
    (later / "time" / "authority.pem").write_bytes(root + other)
    assert resigned(desk, later) == "time/authority.pem: holds not exactly one certificate"


@pytest.mark.proof
def test_files_and_bytes_behind_a_new_manifest(two: tuple[Desk, Path, Path], tmp_path: Path) -> None:
    desk, pack, _ = two
    for name in ("receipt", "receipt.tsr", "authority.pem"):
        data = (pack / "time" / name).read_bytes()
        (pack / "time" / name).unlink()
        assert f"time/{name}" in resigned(desk, pack)
        (pack / "time" / name).write_bytes(data)
    (pack / "time" / "more").write_text("x")
    assert resigned(desk, pack) == "time: there are files that are no time token"
    (pack / "time" / "more").unlink()
    token = (pack / "time" / "receipt.tsr").read_bytes()
    start = token.index(b"\x18\x0f20")  # from the token's time on to the end of its content, and its signature
    for where in (*range(start + 2, start + 16, 3), len(token) - 1, len(token) - 40):
        flip(pack / "time" / "receipt.tsr", where)
        assert resigned(desk, pack).startswith("time/receipt.tsr: ")
        (pack / "time" / "receipt.tsr").write_bytes(token)


@pytest.mark.proof
def test_a_token_on_a_receipt_of_a_former_gateway_key(desk: Desk, tmp_path: Path) -> None:
    desk.tokens().turn()
    former, new = desk.port.gateway, Party(tmp_path / "new", desk.port.gateway.identity, ("127.0.0.1",))
    for made, used in ((new.key_path, former.key_path), (new.certificate_path, former.certificate_path)):
        shutil.copy(made, used)
    pack = desk.export()
    keys = [key_id(party.key.public_key()) for party in (new, desk.port.booth, former)]
    status, said = verify(pack, *(word for key in keys for word in ("-k", key)))
    assert (status, "which a time-stamp authority saw at" in said) == (0, True), said
    status, said = verify(pack, *(word for key in keys[:2] for word in ("-k", key)))
    assert (status, f"is signed by the key {keys[2]}" in said) == (1, True), said


@pytest.mark.proof
def test_a_token_outlives_the_certificates_behind_it(port: Port, tmp_path: Path) -> None:
    with Tsa(tmp_path / "short", ends_s=2).serving() as tsa, contextlib.closing(port.store()) as store:
        desk = Desk(port, tsa, store)
        desk.tokens().turn()
        time.sleep(3)
        status, said = verify(desk.export())
        assert (status, "which a time-stamp authority saw at" in said) == (0, True), said


@pytest.mark.proof
@pytest.mark.parametrize("awk", ["busybox", "original-awk", "gawk", "mawk"])
def test_with_other_tools(desk: Desk, tmp_path: Path, awk: str) -> None:
    found = shutil.which(awk)
    if found is None:
        pytest.skip(f"no {awk} here")
    desk.tsa.state_accuracy("secs:1, millisecs:500, microsecs:100")
    desk.tokens().turn()
    pack = desk.export()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "awk").symlink_to(found)
    status, said = verify(pack, path=f"{tmp_path}/bin:/usr/bin:/bin")
    assert (status, "which a time-stamp authority saw at" in said) == (0, True), said
    assert "accuracy of that time, as the authority states it: ± 1.5001 s\n" in said


def test_an_authority_under_another_root(desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokens = desk.tokens(root=Tsa(tmp_path / "other").root)
    with caplog.at_level(logging.WARNING):
        waits = [tokens.turn() for _ in range(6)]
    assert waits == [EVERY_S, 2 * EVERY_S, 4 * EVERY_S, *[8 * EVERY_S] * 3]
    assert desk.stamped(1) is None
    assert len(caplog.records) == 1
    assert "no time token: the time token does not verify: Error while verifying certificates" in caplog.text


def test_an_answer_to_another_question(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    note = b"another note\n"
    desk.tsa.answer = lambda query: desk.tsa.granted(TimeQuery(note).data)  # its nonce and its imprint
    desk.tokens().turn()
    assert "no time token: the time token does not verify: Nonce mismatch" in caplog.text
    assert desk.stamped(1) is None
    query = TimeQuery(note)
    answer = TimeToken(desk.tsa.granted(query.data), desk.tsa.root)
    assert query.taken(answer) == answer.verified(note)
    with pytest.raises(TimeTokenInvalid, match="Nonce mismatch"):
        TimeQuery(note).taken(answer)
    with pytest.raises(TimeTokenInvalid, match="Mismatch between messages"):
        answer.verified(note + b"\n")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"status": 503}, "answers with HTTP status 503"),
        ({"status": 302}, "answers with HTTP status 302"),
        ({"kind": "text/html; charset=utf-8"}, "answers with 'text/html' instead of application/timestamp-reply"),
        ({"answer": lambda query: bytes(MAX_RESPONSE_BYTES + 1)}, "answers with more than 65536 bytes"),
        ({"answer": lambda query: b"nonsense"}, "the answer is no RFC 3161 response in DER"),
        ({"answer": lambda query: b"\x30\x05\x30\x03\x02\x01\x02"}, "the authority granted no token: rejection"),
        ({"pause_s": 0.05}, "ends its answer too early"),
    ],
    ids=["unavailable", "elsewhere", "a page", "oversized", "nonsense", "refused", "a trickle"],
)
def test_answers_that_are_none(
    desk: Desk, fault: dict[str, object], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in fault.items():
        setattr(desk.tsa, name, value)
    tokens, begun = desk.tokens(timeout_s=0.3 if "pause_s" in fault else 10), time.monotonic()
    assert tokens.turn() == EVERY_S
    assert time.monotonic() - begun < 5
    assert said in caplog.text
    assert desk.stamped(1) is None
    assert len(desk.tsa.queries) == 1


def test_a_dead_authority_that_comes_back(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.tsa.status = 503
    tokens = desk.tokens()
    assert [tokens.turn(), tokens.turn()] == [EVERY_S, 2 * EVERY_S]
    desk.tsa.status = 200
    assert tokens.turn() == EVERY_S
    assert len(caplog.records) == 2
    assert "answers again" in caplog.text
    assert desk.stamped(4) is not None


def test_an_authority_that_grants_one_token_a_turn(desk: Desk) -> None:
    desks = [desk, *(Desk(desk.port, desk.tsa, desk.store, bytes([n] * 16)) for n in (101, 102))]
    tokens, left = desk.tokens(), 0

    def answer(query: bytes) -> bytes:
        nonlocal left
        left -= 1
        return desk.tsa.granted(query) if left >= 0 else b"\x30\x05\x30\x03\x02\x01\x02"

    desk.tsa.answer = answer
    for served in (1, 2, 3, 3, 3, 3):
        left = 1
        tokens.turn()
        assert sum(each.stamped(1) is not None for each in desks) == served
        for each in desks:
            each.receive(1)
    assert all(each.stamped(5) for each in desks)  # each a second time


def test_nobody_listens_and_nobody_answers(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(PortUnreachable, match="does not answer"):
            TimeAuthority(url, 0.2).ask(b"x")
    with pytest.raises(PortUnreachable, match="does not answer"):
        TimeAuthority(url, 0.2).ask(b"x")
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        for _ in range(4):  # no further connection gets through
            waiting = stack.enter_context(contextlib.closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        with pytest.raises(PortUnreachable, match="does not answer"):
            TimeAuthority(f"http://127.0.0.1:{full.getsockname()[1]}", 0.2).ask(b"x")


def test_over_https_the_server_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server, made.server_key)
    query = TimeQuery(b"a note\n")
    with Tsa(tmp_path / "tsa").serving(context) as tsa:
        with pytest.raises(PortUnreachable, match="SSLCertVerificationError"):
            TimeAuthority(tsa.address, 5).ask(query.data)
        monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
        token = TimeToken(TimeAuthority(tsa.address, 5).ask(query.data), tsa.root)
        assert query.taken(token) == token.verified(b"a note\n")


async def _accepted(port: Port, ledger: Ledger) -> None:
    async with port.ingest() as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        await stream.send(1, *ledger.envelopes)
        await stream.acked(len(ledger.envelopes))


@pytest.mark.parametrize("pause_s", [0.0, 3600.0], ids=["quick", "for ever"])
async def test_a_gateway_keeps_tokens_and_waits_for_none(port: Port, tsa: Tsa, pause_s: float) -> None:
    ledger = port.ledger()
    ledger.grow(2)
    async with port.serving():
        await _accepted(port, ledger)
    tsa.pause_s = pause_s
    section = Time(url=tsa.address, authority=tsa.root_path, timeout_s=60)
    settings = port.settings().model_copy(update={"time": section})
    begun = time.monotonic()
    async with running(settings) as gateway:
        port.running = gateway
        while not tsa.queries:
            await asyncio.sleep(0.01)
        ledger.grow(2)
        async with port.ingest() as stub:
            stream = Stream(stub)
            await stream.hello(ledger.hello())
            await stream.send(4, *ledger.envelopes[3:])
            await stream.acked(5)
        with contextlib.closing(port.store()) as store:
            for _ in range(1 if pause_s else 500):
                with store.reading() as db:
                    kept = first_stamped(db, ledger.booth_id, ledger.epoch, 3)
                if kept is not None:
                    break
                await asyncio.sleep(0.01)
    assert (kept is None) is bool(pause_s)
    assert time.monotonic() - begun < 20


async def test_one_root_and_no_more(port: Port, tsa: Tsa, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(2 * tsa.root_path.read_bytes())
    section = Time(url=tsa.address, authority=bundle)
    with pytest.raises(IdentityInvalid, match="2 certificates"):
        async with running(port.settings().model_copy(update={"time": section})):
            pass

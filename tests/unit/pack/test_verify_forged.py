"""Packs that somebody forged: behind a manifest that was signed anew, and with keys that ended."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.domain import event as domain
from edge_agent.pack.collect import KnownEnds
from edge_agent.wire.envelope import read_envelope, write_envelope
from edge_agent.wire.identity import key_id
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.verify import KeyEnd
from tests.unit.pack.port_of_entry import BOOTH, FRAME, HELD, INSPECTION, certificate_for, verify
from tests.unit.pack.small import ENVELOPE, PROOF, RECEIPT, Small, changed, files, refused
from tests.unit.port_gateway.signing import Ledger, Party, sign

# --- with a manifest that was signed anew: what does not rest on the manifest ----------------------------------------


def test_a_changed_envelope(place: Small, pack: Path) -> None:
    size = (pack / ENVELOPE).stat().st_size
    for where in (130, size - 80):
        assert changed(place, pack, ENVELOPE, where).startswith(f"{ENVELOPE}: ")
    session = "events/0000000001.envelope"
    assert "its signature is not one by the key of certificates/booth-lane-1" in changed(place, pack, session, 150)


@pytest.mark.parametrize(
    "where",
    [
        {PROOF: [2, 11], RECEIPT: [11]},
        pytest.param({PROOF: [1, 7, 8, 9], RECEIPT: [1, 2, 7, 8, 9, 10]}, marks=pytest.mark.proof),
    ],
    ids=["hash and signatures", "every other line"],
)
def test_a_changed_proof(place: Small, pack: Path, where: dict[str, list[int]]) -> None:
    """In each kind of line: the index, a hash, the origin, the size, the root, the time, the signature."""
    for name, lines in where.items():
        text = (pack / name).read_bytes()
        starts = [0, *(at + 1 for at, byte in enumerate(text[:-1]) if byte == 10)]
        assert len(starts) == 12
        for line in lines:
            end = (*starts, len(text))[line + 1]
            at = end - 2 if line in (1, 8) else end - 4
            assert changed(place, pack, name, at).startswith(f"{name}: "), line


def test_changed_evidence_and_what_is_said_of_it(lean: tuple[Small, Path]) -> None:
    place, pack = lean
    [name] = [name for name in files(pack) if name.startswith("evidence/")]
    assert changed(place, pack, name, 9) == f"{name}: its bytes are not those that its name states"
    (pack / name).unlink()
    place.sign_again(pack)
    assert "neither in the pack nor said to be absent" in refused(pack)
    (pack / "ABSENT").write_text(f"{FRAME.sha256.hex()} lost\n{bytes(32).hex()} lost\n")
    place.sign_again(pack)
    assert refused(pack) == f"ABSENT: no event in the pack binds {bytes(32).hex()}"


def test_what_a_stranger_wrote_commands_no_terminal(place: Small, pack: Path) -> None:
    proof = (pack / RECEIPT).read_bytes()
    (pack / RECEIPT).write_bytes(proof.replace(b"/gateway/main ", b"/gateway/\x1b[31m\xe9 "))
    place.sign_again(pack)
    said = refused(pack)
    assert "spiffe://uslrd/gateway/?[31m?" in said
    assert said.isprintable()


# --- keys that ended --------------------------------------------------------------------------------------------------


def _ended(place: Small, code: RefusalCode, through: int, complete: bool = True) -> None:
    place.chain.ends = KnownEnds({key_id(place.booth.key.public_key()): KeyEnd(through, code)}, complete)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            RefusalCode.KEY_REVOKED,
            "WAS REVOKED later; what it signed counts through event 5, and nothing above is beyond",
        ),
        (
            RefusalCode.KEY_RETIRED,
            "was handed over to the next key by event 5 (spiffe://uslrd/gateway/main, 2026-11-22",
        ),
    ],
)
def test_a_key_that_ended_later(tmp_path: Path, code: RefusalCode, said: str) -> None:
    place = Small(tmp_path)
    place.chain.checkpoint_size = 0
    _ended(place, code, 5)
    pack = place.pack(exporter=place.gateway)
    status, out = verify(pack)
    assert (status, said in out) == (0, True), out
    page = (pack / "README.html").read_text()
    assert ("A key that signed here was revoked later." in page) is (code is RefusalCode.KEY_REVOKED)


def test_what_a_key_signed_beyond_its_end_does_not_count(place: Small, pack: Path, tmp_path: Path) -> None:
    key = key_id(place.booth.key.public_key())
    assert (pack / "KEYS").read_text() == f"at {HELD:%Y-%m-%dT%H:%M:%SZ}\n{key} not-known\n"
    for line, said in (
        (f"{key} KEY_REVOKED 2", f"{ENVELOPE}: does not count: the device key {key} behind it ended: KEY_REVOKED"),
        (f"{key} KEY_REVOKED 0", f"events/0000000001.envelope: does not count: the device key {key} behind it"),
        (f"{'0' * 64} in-force", f"KEYS: does not name the key {key}, which signed"),
        (f"{key} fine", "KEYS: a line that does not state what is known of a key"),
        (f"{key} in-force 3", "KEYS: a line that does not state what is known of a key"),
    ):
        (pack / "KEYS").write_text(f"at 2026-11-22T09:00:00Z\n{line}\n")
        place.sign_again(pack)
        assert refused(pack).startswith(said)
    other = Small(tmp_path / "other")
    _ended(other, RefusalCode.KEY_REVOKED, 2)
    with pytest.raises(Refused, match="KEY_REVOKED"):
        other.pack()


def test_a_booth_cannot_know_and_the_port_does(lean: tuple[Small, Path], tmp_path: Path) -> None:
    place, by_booth = lean
    status, said = verify(by_booth)
    assert (status, "may have been revoked: the booth cannot know, ask the port" in said) == (0, True)
    assert "The port keeps the list of revoked keys: ask it" in (by_booth / "README.html").read_text()
    (by_booth / "KEYS").write_text(f"at 2026-11-22T09:00:00Z\n{key_id(place.booth.key.public_key())} in-force\n")
    place.sign_again(by_booth)
    assert "had not been revoked (spiffe://uslrd/booth/lane-1, 2026-11-22T09:00:00Z)" in verify(by_booth)[1]


def test_a_proof_of_another_event(place: Small, pack: Path) -> None:
    shutil.copy(pack / "events/0000000001.tlog-proof", pack / PROOF)
    place.sign_again(pack)
    assert refused(pack) == f"{PROOF}: is the proof of another event than 3"
    (pack / PROOF).unlink()
    (pack / RECEIPT).unlink()
    place.sign_again(pack)
    assert refused(pack) == f"{ENVELOPE}: there is no proof that it is in the chain"


def test_a_manifest_of_another_signer(place: Small, pack: Path, tmp_path: Path) -> None:
    stranger = Party(tmp_path / "x", BOOTH)
    place.sign_again(pack, stranger)
    assert refused(pack).startswith(
        "MANIFEST.sig: not a signature over MANIFEST by the key of certificates/booth-lane-1"
    )


Forge = Callable[[Small, Party], None]


def _signed_by_another_key(place: Small, stranger: Party) -> None:
    payload, _ = read_envelope(place.ledger.envelopes[2])
    place.ledger.envelopes[2] = sign(payload, stranger.key)


def _keyid_of_the_session(place: Small, stranger: Party) -> None:
    payload, signature = read_envelope(place.ledger.envelopes[2])
    forged, _ = read_envelope(sign(payload, stranger.key))
    place.ledger.envelopes[2] = write_envelope(forged, b"\x01" * 64, signature.keyid)


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (_signed_by_another_key, "for which the session event before it does not vouch"),
        (_keyid_of_the_session, "its signature is not one by the session key that event 1 names"),
    ],
)
def test_a_forged_event(tmp_path: Path, forge: Forge, said: str) -> None:
    """A forger rewrites the chain after the event, with proofs that fit it."""
    place = Small(tmp_path)
    good = place.pack("good")
    forge(place, Party(tmp_path / "x", "spiffe://uslrd/booth/lane-9"))
    (good / ENVELOPE).write_bytes(place.ledger.envelopes[2])
    place.sign_again(good)
    assert said in refused(good)


def test_another_booth_s_certificate(tmp_path: Path) -> None:
    """The same key under another name: the events say whose they are."""
    place = Small(tmp_path)
    pack = place.pack(exporter=place.gateway)
    [name] = [name for name in files(pack) if name.startswith("certificates/booth")]
    (pack / name).write_bytes(certificate_for(place.booth.key, "spiffe://uslrd/booth/lane-2"))
    place.sign_again(pack, place.gateway)
    assert refused(pack) == f"{name}: is the certificate of spiffe://uslrd/booth/lane-2, and the events are of {BOOTH}"


def test_a_booth_that_is_wholly_made_up_needs_a_trusted_key_to_be_seen(place: Small, lean: tuple[Small, Path]) -> None:
    """Everything is consistent, and by strangers: that is what -k and the key ids at the end are for."""
    _, forged = lean
    status, said = verify(forged)
    assert (status, "Compare each with the key id" in said) == (0, True)
    assert "none of those given with -k" in refused(forged, "-k", key_id(place.booth.key.public_key()))


@pytest.mark.parametrize("body", [domain.InspectionOpened(INSPECTION, "1", "presence")], ids=["inspection opened"])
def test_consecutive_events_must_be_linked(tmp_path: Path, body: domain.EventBody) -> None:
    place = Small(tmp_path)
    pack = place.pack(event=2)
    other = Ledger(BOOTH, place.booth.key)
    other.session_key = place.ledger.session_key
    forged = other.add(body)  # follows another first event
    (pack / "events/0000000002.envelope").write_bytes(forged)
    place.sign_again(pack)
    assert refused(pack) == "events/0000000002.envelope: does not follow event 1 in the chain"

import base64
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edge_agent.domain.errors import ProofInvalid
from edge_agent.wire.checkpoint import (
    Checkpoint,
    note_key_id,
    open_checkpoint,
    origin_of,
    read_checkpoint,
    sign_checkpoint,
    write_proof,
)
from edge_agent.wire.identity import PublicKey, load_public_key

ORIGIN = "spiffe://uslrd/booth/lane-1/000102030405060708090a0b0c0d0e0f"
ROOT = bytes(range(32))
HELD = datetime(2026, 11, 22, 9, 0, 0, tzinfo=UTC)
SESSION = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
GATEWAY = ec.derive_private_key(7, ec.SECP256R1())

# golang.org/x/mod/sumdb/note: the key of its tests, whose private half is published there.
PETER_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
# transparency-dev/formats: a checkpoint of Rekor, signed by an ECDSA key.
REKOR_VKEY = (
    "AjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNhtmPtrWm3U1eQXBogSMdGvXwBcK5AW5i0hrZLOC96l+smGNM7nwZ4QvFK/4sueRoVj//QP22Ni"
    "4Qt9DPfkWLc="
)
REKOR = load_public_key(base64.b64decode(REKOR_VKEY)[1:])
REKOR_NOTE = (
    "Rekor\n798034\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n\n"
    "— rekor.sigstore.dev wNI9ajBEAiARInWIWyCdyG27CO6LPnPekyw20"
    "qO0YJfoaPaowGp/XgIgc+qEHS3+GKVClgqq20uDLet7MCoTURUCRdxwWBHHufk=\n"
).encode()


def by_session(checkpoint: Checkpoint, name: str = ORIGIN) -> bytes:
    return sign_checkpoint(checkpoint, name, SESSION.public_key(), SESSION.sign)


def by_gateway(checkpoint: Checkpoint, name: str = "spiffe://uslrd/gateway/main") -> bytes:
    return sign_checkpoint(
        checkpoint, name, GATEWAY.public_key(), lambda text: GATEWAY.sign(text, ec.ECDSA(hashes.SHA256()))
    )


NAMES: list[tuple[bytes, str, PublicKey, Checkpoint]] = [
    (by_session(Checkpoint(ORIGIN, 41, ROOT)), ORIGIN, SESSION.public_key(), Checkpoint(ORIGIN, 41, ROOT)),
    (
        by_gateway(Checkpoint(ORIGIN, 41, ROOT, HELD)),
        "spiffe://uslrd/gateway/main",
        GATEWAY.public_key(),
        Checkpoint(ORIGIN, 41, ROOT, HELD),
    ),
]


def test_the_key_id_of_the_published_ed25519_key() -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(PETER_SEED).public_key()
    assert note_key_id("PeterNeumann", key).hex() == "c74f20a3"


def test_a_published_ecdsa_checkpoint() -> None:
    assert note_key_id("rekor.sigstore.dev", REKOR).hex() == "c0d23d6a"
    opened = open_checkpoint(REKOR_NOTE, "rekor.sigstore.dev", REKOR)
    assert (opened.origin, opened.size, opened.root.hex()[:8]) == ("Rekor", 798034, "7feec2a0")


def test_the_published_note_comes_out_byte_for_byte() -> None:
    """Ed25519 is deterministic: a checkpoint of that key is what Go's library would write."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(PETER_SEED)

    class Peter(Checkpoint):
        def text(self) -> bytes:
            return (
                b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
            )

    note = sign_checkpoint(Peter("", 0, ROOT), "PeterNeumann", key.public_key(), key.sign)
    published = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    assert note.endswith(f"\n\n— PeterNeumann {published}\n".encode())


def test_the_form() -> None:
    assert origin_of("spiffe://uslrd/booth/lane-1", bytes(range(16))) == ORIGIN
    text, _, signature = by_gateway(Checkpoint(ORIGIN, 41, ROOT, HELD)).decode().partition("\n\n")
    assert text.splitlines() == [ORIGIN, "41", base64.b64encode(ROOT).decode(), "held 2026-11-22T09:00:00Z"]
    assert signature.startswith("— spiffe://uslrd/gateway/main ")
    assert signature.count("\n") == 1


@pytest.mark.parametrize(("note", "name", "key", "checkpoint"), NAMES)
def test_it_opens_under_its_name_and_key(note: bytes, name: str, key: PublicKey, checkpoint: Checkpoint) -> None:
    assert open_checkpoint(note, name, key) == read_checkpoint(note) == checkpoint
    more = note + by_session(checkpoint, "witness.example").split(b"\n\n")[1]
    assert open_checkpoint(more, name, key) == checkpoint  # signatures of keys that are not known are ignored


@pytest.mark.parametrize(("note", "name", "key", "checkpoint"), NAMES)
def test_no_byte_may_change(note: bytes, name: str, key: PublicKey, checkpoint: Checkpoint) -> None:
    for place in range(len(note)):
        for bit in (0, 5, 7):
            changed = note[:place] + bytes((note[place] ^ 1 << bit,)) + note[place + 1 :]
            with pytest.raises(ProofInvalid):
                open_checkpoint(changed, name, key)


def test_base64_has_one_form() -> None:
    """Bits that base64 leaves unused are zero: else a note could be changed and say the same."""
    text, name, key, _ = NAMES[0]
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for place in [text.index(b"=") - 1, text.rindex(b"=") - 1]:
        same = alphabet[alphabet.index(text[place]) + 1]
        with pytest.raises(ProofInvalid):
            open_checkpoint(text[:place] + bytes((same,)) + text[place + 1 :], name, key)


@pytest.mark.parametrize(("note", "name", "key", "checkpoint"), NAMES)
def test_another_signer(note: bytes, name: str, key: PublicKey, checkpoint: Checkpoint) -> None:
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    for wrong_name, wrong_key in [(name, other), (name + "x", key)]:
        with pytest.raises(ProofInvalid, match="is not signed by"):
            open_checkpoint(note, wrong_name, wrong_key)


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n41\n",
        f"\n41\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n041\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n-1\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n41\n{base64.b64encode(ROOT[:31]).decode()}\n",
        f"{ORIGIN}\n41\n{base64.b64encode(ROOT).decode()}\nheld yesterday\n",
        f"{ORIGIN}\n41\n{base64.b64encode(ROOT).decode()}\nheld 2026-13-22T09:00:00Z\n",
        f"{ORIGIN}\n41\n{base64.b64encode(ROOT).decode()}\nheld 2026-11-22T09:00:00Z\nheld 2026-11-22T09:00:00Z\n",
    ],
)
def test_signed_and_no_checkpoint(text: str) -> None:
    class Text(Checkpoint):
        def text(self) -> bytes:
            return text.encode()

    with pytest.raises(ProofInvalid, match="not a checkpoint"):
        open_checkpoint(by_session(Text(ORIGIN, 41, ROOT)), ORIGIN, SESSION.public_key())


@pytest.mark.parametrize(
    "end", [b"", b"\n", "\n\u2014 x\n".encode(), "\n\u2014 x AAAA\n".encode(), b"\n- x AAAAAAAA\n"]
)
def test_no_signature(end: bytes) -> None:
    with pytest.raises(ProofInvalid, match="not a checkpoint"):
        open_checkpoint(Checkpoint(ORIGIN, 41, ROOT).text() + end, ORIGIN, SESSION.public_key())


def test_too_long() -> None:
    with pytest.raises(ProofInvalid, match="at most 4096"):
        open_checkpoint(b"x" * 4097, ORIGIN, SESSION.public_key())


def test_a_proof_carries_its_checkpoint() -> None:
    note = by_session(Checkpoint(ORIGIN, 41, ROOT))
    head, _, rest = write_proof(7, [ROOT], note).partition(b"\n\n")
    assert head.decode().splitlines() == ["c2sp.org/tlog-proof@v1", "index 7", base64.b64encode(ROOT).decode()]
    assert rest == note

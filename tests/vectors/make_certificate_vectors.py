"""Writes certificates.json: certificates of parties, good and named-bad (docs/wire.md, section 1).

    python -m tests.vectors.make_certificate_vectors           write the file
    python -m tests.vectors.make_certificate_vectors --check   compare it with what would be written

Deterministic, as make_vectors.py.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tests.vectors.make_vectors import BOOTH, DEVICE_KEY, NEW_DEVICE_KEY, STRANGER_KEY, THIRD_DEVICE_KEY, certificate

FILE = Path(__file__).with_name("certificates.json")
OTHER_BOOTH, OFFICE = "spiffe://uslrd/booth/lane-2", "spiffe://uslrd/back-office/customs"
OTHER_BOOTH_KEY = ec.derive_private_key(0x1A4E2, ec.SECP256R1())
OFFICE_KEY = ec.derive_private_key(0x0FF1CE, ec.SECP256R1())
P384_KEY = ec.derive_private_key(0x384384384, ec.SECP384R1())
MINE = certificate(DEVICE_KEY)
RENEWED = certificate(DEVICE_KEY, extension=b"renewed")
OFFICES = certificate(OFFICE_KEY, OFFICE)
OTHERS = certificate(OTHER_BOOTH_KEY, OTHER_BOOTH)
FIRST, LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)  # of every certificate here


def listed() -> list[dict[str, Any]]:
    """What a reader is given by ListBooths as certificates of BOOTH."""
    made = [
        ("its own", MINE, None),
        ("with an Ed25519 key", certificate(STRANGER_KEY), None),
        ("issued by another key, as an authority would", certificate(NEW_DEVICE_KEY, issuer=DEVICE_KEY), None),
        ("another booth's", OTHERS, "NOT_TRUSTED"),
        ("a back-office's", OFFICES, "NOT_TRUSTED"),
        ("a gateway's of the same name", certificate(DEVICE_KEY, "spiffe://uslrd/gateway/lane-1"), "NOT_TRUSTED"),
        ("in upper case", certificate(DEVICE_KEY, BOOTH.upper()), "NOT_TRUSTED"),
        ("with a longer name", certificate(DEVICE_KEY, BOOTH + "/x"), "NOT_TRUSTED"),
        ("with two names", certificate(DEVICE_KEY, BOOTH, OTHER_BOOTH), "NOT_TRUSTED"),
        ("with two names in one", certificate(DEVICE_KEY, f"{BOOTH}, URI:{OTHER_BOOTH}"), "NOT_TRUSTED"),
        ("with a P-384 key", certificate(P384_KEY), "NOT_TRUSTED"),
        ("cut off", MINE[:-1], "NOT_TRUSTED"),
        ("with a byte after it", MINE + b"\0", "NOT_TRUSTED"),
        ("no certificate", b"", "NOT_TRUSTED"),
    ]
    return [{"name": name, "certificate": der.hex(), "code": code} for name, der, code in made]


def registered() -> list[dict[str, Any]]:
    """What the port knows."""
    made = [
        (BOOTH, certificate(THIRD_DEVICE_KEY), "revoked"),
        (BOOTH, certificate(NEW_DEVICE_KEY), "replaced"),
        (BOOTH, MINE, "in force"),
        (OTHER_BOOTH, OTHERS, "in force"),
        (OFFICE, OFFICES, "in force"),
    ]
    return [{"identity": identity, "certificate": der.hex(), "state": state} for identity, der, state in made]


def shown() -> list[dict[str, Any]]:
    """What a peer shows on a connection for a booth's calls, at a time."""
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    by_mine = certificate(STRANGER_KEY, OTHER_BOOTH, issuer=DEVICE_KEY)
    made = [
        ("a registered one", MINE, noon, BOOTH, None),
        ("in its first second", MINE, FIRST, BOOTH, None),
        ("in its last second", MINE, LAST, BOOTH, None),
        ("not valid yet", MINE, datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC), BOOTH, "NOT_TRUSTED"),
        ("expired", MINE, datetime(2036, 1, 1, 0, 0, 1, tzinfo=UTC), BOOTH, "NOT_TRUSTED"),
        ("another certificate for a registered key", RENEWED, noon, BOOTH, "NOT_TRUSTED"),
        ("a stranger's in the booth's name", certificate(STRANGER_KEY), noon, BOOTH, "NOT_TRUSTED"),
        ("issued by a registered key for another booth", by_mine, noon, OTHER_BOOTH, "NOT_TRUSTED"),
        ("replaced", certificate(NEW_DEVICE_KEY), noon, BOOTH, "NOT_TRUSTED"),
        ("of a revoked key", certificate(THIRD_DEVICE_KEY), noon, BOOTH, "KEY_REVOKED"),
        ("of another role", OFFICES, noon, OFFICE, "NOT_TRUSTED"),
        ("another booth's, and a hello of this one", OTHERS, noon, BOOTH, "NOT_TRUSTED"),
    ]
    return [
        {"name": name, "certificate": der.hex(), "at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "hello": hello, "code": code}
        for name, der, at, hello, code in made
    ]


def text() -> str:
    document = {
        "about": "Certificates in DER. `listed`: for `booth_id`, by ListBooths. `shown`: by one that opens a booth's "
        "stream, of a port that knows `registered`; `hello` is the booth that it then names. See README.md.",
        "booth_id": BOOTH,
        "listed": listed(),
        "registered": registered(),
        "shown": shown(),
    }
    return json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if FILE.read_text() == text() else "certificates.json is not what this script writes")
    FILE.write_text(text())

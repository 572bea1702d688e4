import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.devices.sources.scan_file import NOTHING, Stated
from edge_agent.devices.sources.sidecar import SidecarSettings, read_sidecar

DEEP = SidecarSettings(scan="scan.@id", vehicle="scan.cargo.containers.0.number", taken="scan.taken")


@pytest.mark.parametrize(
    ("text", "settings", "stated"),
    [
        (
            b'{"scan_id": "S1", "vehicle_number": 4711, "taken": "2026-11-22T01:02:03Z"}',
            SidecarSettings(),
            Stated("S1", "4711", "2026-11-22T01:02:03Z"),
        ),
        (b'\xef\xbb\xbf {"scan_id": "S1"}', SidecarSettings(), Stated("S1")),
        (json.dumps({"scan_id": "S1"}).encode("utf-16"), SidecarSettings(), None),
        (
            b'{"scan": {"@id": "S2", "cargo": {"containers": [{"number": "MSKU0383250"}]}}}',
            DEEP,
            Stated("S2", "MSKU0383250"),
        ),
        (b'{"scan_id": null, "vehicle_number": true, "taken": {"at": 1}}', SidecarSettings(), NOTHING),
        (b"[1, 2]", SidecarSettings(scan="1", vehicle="2", taken="x"), Stated("2")),
        (
            b'<r xmlns="urn:x"><scan_id> S3 </scan_id><vehicle_number>MSKU0383250</vehicle_number><taken/></r>',
            SidecarSettings(),
            Stated("S3", "MSKU0383250"),
        ),
        (
            b'<r xmlns:x="urn:x"><scan x:id="S4"><taken>now</taken></scan></r>',
            DEEP,
            Stated("S4", "", "now"),
        ),
        (b'<r scan="S5"/>', SidecarSettings(scan="@scan"), Stated("S5")),
    ],
)
def test_what_it_states(text: bytes, settings: SidecarSettings, stated: Stated | None) -> None:
    if stated is None:
        with pytest.raises(ValueError, match="it is no XML"):
            read_sidecar(text, settings)
    else:
        assert read_sidecar(text, settings) == stated


LAUGHS = b'<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><r><scan_id>&b;</scan_id></r>'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LAUGHS, "it has a document type"),
        (b'<!DOCTYPE r SYSTEM "file:///etc/passwd"><r/>', "it has a document type"),
        (LAUGHS.decode().encode("utf-16"), "it has a document type"),
        (b"{", "Expecting property name"),
        (b"[" * 60_000, "nested too deep"),
        (b"", "no XML"),
        (b"scan_id=S1", "no XML"),
        (b'{"scan_id": ' + b"9" * 5000 + b"}", "digits"),
        (b'{"scan_id": "\xff"}', "decode"),
    ],
)
def test_what_is_neither(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_sidecar(text, SidecarSettings())


@given(
    st.binary(max_size=80) | st.binary(max_size=60).map(lambda b: b"{" + b) | st.binary(max_size=60).map(b"<r>".__add__)
)
def test_arbitrary_bytes_give_words_or_nothing_else(data: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(read_sidecar(data, DEEP), Stated)

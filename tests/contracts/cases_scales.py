"""Scales and the vehicle separator under contract."""

from hypothesis import strategies as st

from edge_agent.devices.drivers import mt_sics, nci_scp01, rice_lake_iq355, sti_vs6400, toledo_continuous
from tests.contracts.case import Case
from tests.unit.devices.scales import iq355, nci, toledo


def _toledo(settings: toledo_continuous.Settings, good: bytes) -> Case:
    frame = st.builds(
        lambda status, weight, tare, short: (
            b"\x02" + bytes(status) + (weight + ("" if short else tare)).encode() + b"\r"
        ),
        st.lists(st.integers(0, 255), min_size=3, max_size=3),
        st.from_regex(r" {0,6}[0-9]{0,6}", fullmatch=True).map(lambda text: f"{text[-6:]:>6}") | st.just("12a40 "),
        st.sampled_from(["000000", "  1733", "      ", "------"]),
        st.just(not settings.tare) | st.booleans(),
    )
    checksums = st.sampled_from(["right", "right", "none", "none", "wrong"])
    return Case(
        "toledo_continuous",
        settings,
        st.builds(_ended, frame, checksums) | st.just(good),
        good,
        b"\r",
    )


def _ended(frame: bytes, how: str) -> bytes:
    checksum = -sum(byte & 0x7F for byte in frame) & 0x7F
    return frame + {"right": bytes([checksum]), "wrong": bytes([checksum ^ 1]), "none": b""}[how]


def _iq355(settings: rice_lake_iq355.Settings, end: bytes) -> Case:
    frame = st.builds(
        lambda polarity, weight, unit, mode, status: iq355(weight, unit, mode, status, polarity).removesuffix(b"\r\n"),
        st.sampled_from([" ", "-", "+"]),
        st.sampled_from(["  12340", " 123.40", ".123456", "       ", "-------", "12.34.5", "1234567", "12345678"]),
        st.sampled_from("LKTGO x"),
        st.sampled_from("GN"),
        st.sampled_from(" MOIZ?"),
    )
    return Case(
        "rice_lake_iq355", settings, frame.map(lambda text: text + end), iq355().removesuffix(b"\r\n") + end, b"\r\n"
    )


def _nci() -> Case:
    weight = st.sampled_from(
        ["012340kg", "-12.50lb", "^^^^^^kg", "______kg", "------kg", "12lb 3.4oz", " 1234 g ", "7.5t", "7x", None, None]
    )
    status = st.sampled_from(["00", "10", "20", "02", "01", "0p0", "0p4", "0p8", "4<", "8", "00000000", "000000000"])
    return Case(
        "nci_scp01",
        nci_scp01.Settings(poll_interval_s=0.5),
        st.builds(nci, weight, status) | st.sampled_from([b"\n?\r\x03", b"\n\n\n", b"W\r"]),
        nci(),
        b"\r\x03",
    )


def _mt_sics(settings: mt_sics.Settings) -> Case:
    said = st.sampled_from(
        [
            "S S   12340.00 kg",
            "S D     -12.50 lb",
            "SI S    100.00 g",
            "S S        .5 ct",
            "S +",
            "S -",
            "S I",
            "S L",
            "S S Error 10b",
            "ES",
            "ET",
            "EL",
            'I2 A "WMS404C-L WMS-Bridge 410.00090 g"',
            'I3 A "2.10 10.28.0.493.142"',
            'I4 A "B021002593"',
            "I4 I",
            "I2 L",
            "",
            "é",
        ]
    )
    limit = mt_sics.LINE_LIMIT
    long = st.integers(limit - 4, limit + 4).map(lambda length: 'I2 A "' + "7" * (length - 9) + '"')
    return Case(
        "mt_sics",
        settings,
        st.builds(lambda text, end: text.encode() + end, said | long, st.sampled_from([b"\r\n", b"\n"])),
        b"S S   12340.00 kg\r\n",
        b"\r\n",
    )


def _vs6400(settings: sti_vs6400.Settings) -> Case:
    span = st.builds(lambda first, count: f" {first:04X}:{count:04x}", st.integers(0, 70), st.integers(0, 9))
    report = st.builds(
        lambda spans, more: f"{len(spans) + more:02X}{''.join(spans)}\r\n".encode(),
        st.lists(span, max_size=4),
        st.sampled_from([0, 0, 0, 1]),
    )
    full = st.just(b"FF" + b" 0000:0001" * 255 + b"\r\n") | st.just(b"FF" + b" 0000:0001" * 256 + b"\r\n")
    return Case("sti_vs6400", settings, report | full, b"01 0008:0002\r\n", b"\r\n")


SCALES = (
    _toledo(toledo_continuous.Settings(), toledo()),
    _toledo(toledo_continuous.Settings(checksum="with"), toledo(1733, 20, places=2, kg=False)),
    _toledo(toledo_continuous.Settings(checksum="without"), toledo(checksum=False)),
    _toledo(toledo_continuous.Settings(checksum="unchecked", tare=False), toledo(short=True)),
    _iq355(rice_lake_iq355.Settings(), b"\r\n"),
    _iq355(rice_lake_iq355.Settings(end="cr", tons="metric", blank_unit="kg"), b"\r"),
    _nci(),
    _mt_sics(mt_sics.Settings()),
    _mt_sics(mt_sics.Settings(mode="SIR", identity=False)),
    _vs6400(sti_vs6400.Settings(beams=64, stuck_after_s=5)),
)

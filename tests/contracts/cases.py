"""What each driver of the catalogue gives the contract suite: its messages, and good ones that must be read."""

from collections.abc import Iterable

from hypothesis import strategies as st

from edge_agent.devices.drivers import barcode_scanner, rapiscan_vm250, spectroscopic_n42, uhfreader18
from edge_agent.devices.sealing import Seals, Tamper
from edge_agent.devices.uhf_frames import crc
from tests.contracts.case import Case
from tests.contracts.cases_scales import SCALES
from tests.unit.devices.n42_documents import BACKGROUND, Slice, alarm, analysis, document, framed


def _portal(form: str, stamp: str) -> Iterable[Case]:
    count = st.integers(0, 999_999).map(lambda n: f"{n:06d}")
    counts = st.builds(
        lambda tag, four: f"{tag},{','.join(four)}",
        st.sampled_from(["GB", "GH", "GL", "NB", "NH", "GS", "GA", "NS", "NA", "GX", "GX"]),
        st.lists(count, min_size=4, max_size=4),
    )
    fixed = st.sampled_from(
        [
            "SP,0.1336,05.103,008.21,000000",
            "SG1,002000,000068,05,10,07.0,P",
            "SG2,1111,0.069,0.455,01,1010,A",
            "TT,000000,000000,000000,000000",
            "TC,000000,000000,000000,000000",
            "AX,  0.2758, -0.1417, -1.4988,  0.4574,  0.8690",
            "RW,000000,000000,000000,000000",
            "GX,1",
            "GS,00077,000077,000067,000069",
        ]
    )
    padded = st.integers(rapiscan_vm250.LINE_LIMIT - 3, rapiscan_vm250.LINE_LIMIT + 3).map(
        lambda length: "AM," + "0" * (length - len("AM,") - len(stamp) - 2)
    )
    end = st.sampled_from(["\r\n", "\n"])
    yield Case(
        "rapiscan_vm250",
        rapiscan_vm250.Settings(format="wire" if form == "wire" else "stamped"),
        st.builds(lambda record, line_end: f"{record}{stamp}{line_end}".encode(), counts | fixed | padded, end),
        f"GB,000379,000371,000407,000371{stamp}\r\n".encode(),
        b"\r\n",
    )


def _scanner(settings: barcode_scanner.Settings, end: bytes) -> Case:
    limit = barcode_scanner.SCAN_LIMIT
    text = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=24)
    seal = st.from_regex(r"[A-Z]{2,4}[0-9]{4,8}", fullmatch=True)
    long = st.integers(limit - 4, limit + 4).map(lambda length: "7" * length)
    aim = st.sampled_from(["", "]C0", "]A0", "]E0", "]Q3", "]X9", "]", "]C121", "]d200106141411234567897"])
    prefixes = settings.prefixes or ("",)
    begin = st.builds(str.__add__, st.sampled_from(["", *prefixes]), aim)
    merged = st.lists(st.builds(str.__add__, begin, seal | text), min_size=1, max_size=3).map("".join)
    return Case(
        "barcode_scanner",
        settings,
        (merged | st.builds(str.__add__, begin, seal | long)).map(lambda labels: labels.encode() + end),
        f"{prefixes[0]}]C0HQ0012345".encode() + end,
        end,
    )


def _spectroscopic() -> Case:
    limit = 4096
    start = st.integers(0, 59).map(lambda second: f"2026-11-22T10:00:{second:02d}Z")
    slices = st.lists(st.builds(Slice, start=start, neutrons=st.none() | st.integers(0, 9)), max_size=2)
    results = st.sampled_from(["", analysis(), analysis(alarm("Gamma")), analysis(alarm("Neutron"), alarm("Other"))])
    whole = st.builds(lambda parts, found: document(*parts, results=found), slices, results)
    other = st.sampled_from([document(BACKGROUND), document(Slice())[:700], b"<a/>", b"", b"\xff", b"\r\n"])
    padded = st.integers(limit - 3, limit + 3).map(lambda length: b"x" * length)
    return Case(
        "spectroscopic_n42",
        spectroscopic_n42.Settings(document_limit=limit),
        st.builds(
            lambda before, data, after: before + framed(data) + after,
            st.sampled_from([b"", b"\r\n", b"ho", b"\x03", b"\x02<", b"\x02"]),
            whole | other | padded,
            st.sampled_from([b"", b"\r\n"]),
        ),
        framed(document(Slice())),
        b"\x03",
        limit=spectroscopic_n42.NOISE_LIMIT + 1 + limit,
    )


def _uhf_reader(settings: uhfreader18.Settings, good: str) -> Case:
    """Good is a tag's frame as published. Zeros end whatever may have begun: no answer begins with one."""
    ant = b"" if settings.model == 18 else b"\x01"
    rssi = b"" if settings.model == 18 else b"\x6b"
    epc = st.binary(max_size=16) | st.sampled_from([b"ANAM00000001", b"SEAL00000001", bytes(12)])
    tags = st.lists(epc, max_size=4).map(
        lambda epcs: ant + bytes([len(epcs)]) + b"".join(bytes([len(epc)]) + epc + rssi for epc in epcs)
    )
    answer = st.builds(
        lambda code, status, data: bytes([code, status]) + data,
        st.sampled_from([0x01, 0x02, 0x21, 0xEE, 0x00]),
        st.sampled_from([0x00, 0x01, 0x02, 0x03, 0x04, 0xF8, 0xFB, 0xFC, 0xFF]) | st.integers(0, 255),
        tags | st.binary(max_size=250),
    )

    def whole(body: bytes, damage: int) -> bytes:
        data = bytes([len(body) + 3, 0]) + body
        checksum = crc(data)
        return data + bytes([checksum[0] ^ damage, checksum[1]])

    framed_answer = st.builds(whole, answer, st.sampled_from([0, 0, 0, 1]))
    return Case("uhfreader18", settings, framed_answer, bytes.fromhex(good), bytes(256))


CASES = (
    *SCALES,
    _spectroscopic(),
    *_portal("wire", ""),
    *_portal("stamped", ",2016-05-31 09:30:00.974 -07"),
    _scanner(barcode_scanner.Settings(), b"\r"),
    _scanner(barcode_scanner.Settings(), b"\r\n"),
    _scanner(barcode_scanner.Settings(suffix="cr"), b"\r"),
    _scanner(barcode_scanner.Settings(suffix="lf", prefix="\x02"), b"\n"),
    _scanner(barcode_scanner.Settings(suffix="crlf", prefix="S:"), b"\r\n"),
    _scanner(barcode_scanner.Settings(suffix="etx", prefix=("\x02", "S:"), seal_identifier="21"), b"\x03"),
    _uhf_reader(uhfreader18.Settings(), "13000103010c0000000000000000000003133f39"),
    _uhf_reader(
        uhfreader18.Settings(
            model=288,
            seals=Seals(epc_prefix=("",), tamper=Tamper(bank="user", word=0, bit=0)),
        ),
        "1500010301010c0000000000000000000003136bb1a5",
    ),
)

"""Scans in, readings out."""

import math

import pytest
from pydantic import ValidationError

from edge_agent.devices.drivers.barcode_scanner import REST_S, SCAN_LIMIT, BarcodeScanner, Settings
from edge_agent.domain.observation import Body, Malformed, Opaque, Reading, SealRead


def opened(settings: Settings | None = None, now: float = 10.0) -> BarcodeScanner:
    scanner = BarcodeScanner(settings or Settings())
    scanner.opened(now)
    return scanner


def bodies(data: bytes, settings: Settings | None = None) -> list[Body]:
    return [reading.body for reading in opened(settings).received(data, 10.0)]


@pytest.mark.parametrize(
    ("scan", "body"),
    [
        (b"]C0HQ0012345\r", SealRead("HQ0012345", "Code 128")),
        (b"]A0ML-MX 123456\r", SealRead("ML-MX 123456", "Code 39")),
        (b"]d2SEAL0001\r", SealRead("SEAL0001", "Data Matrix")),
        (b"HQ0012345\r", SealRead("HQ0012345", "")),
        (b"]C0CSQU3054383\r", Opaque("barcode", ("CSQU3054383", "Code 128"))),  # a container code (ISO 6346)
        (b"]C0CSQU3054384\r", SealRead("CSQU3054384", "Code 128")),  # looks like one, but fails its check digit
        (b"]C10104006381333931\r", Opaque("barcode", ("0104006381333931", "GS1-128", "(01)04006381333931"))),
        (
            b"]C10010614141123456789721SEAL0001\x1d10LOT7\r",  # an SSCC, a serial number up to FNC1, a batch
            Opaque(
                "barcode",
                (
                    "0010614141123456789721SEAL0001\x1d10LOT7",
                    "GS1-128",
                    "(00)106141411234567897",
                    "(21)SEAL0001",
                    "(10)LOT7",
                ),
            ),
        ),
        (
            b"]d200106141411234567890\r",
            Opaque(
                "barcode",
                ("00106141411234567890", "GS1 DataMatrix", "(00)106141411234567890 check digit wrong"),
            ),
        ),
        (b"]C1SEAL0001\r", Opaque("barcode", ("SEAL0001", "GS1-128"))),  # says GS1, and is not
        (b"]E04006381333931\r", Opaque("barcode", ("4006381333931", "EAN/UPC"))),
        (b"]L0HQ0012345\r", Opaque("barcode", ("HQ0012345", "PDF417"))),
        (b"]X0HQ0012345\r", Opaque("barcode", ("HQ0012345", "]X0"))),
        (b"]Q3https://example.org/1\r", Opaque("barcode", ("https://example.org/1", "QR Code"))),
        (b"]C0\r", Opaque("barcode", ("", "Code 128"))),
        ("]Q1Año 1\r".encode(), Opaque("barcode", ("Año 1", "QR Code"))),
        (b"\xff\xfe\r", Malformed("bytes that are not UTF-8 text")),
        (b"\r", Malformed("a scan of nothing")),
    ],
)
def test_one_scan(scan: bytes, body: Body) -> None:
    assert list(opened().received(scan, 10.0)) == [Reading(body, 10.0, scan)]


def test_seals_in_the_symbologies_of_this_port() -> None:
    only_pdf417 = Settings(seal_symbologies=frozenset({"PDF417"}))
    assert bodies(b"]L0HQ0012345\r]C0HQ0012345\r", only_pdf417) == [
        SealRead("HQ0012345", "PDF417"),
        Opaque("barcode", ("HQ0012345", "Code 128")),
    ]


@pytest.mark.parametrize(
    ("settings", "scans"),
    [
        (Settings(suffix="cr"), b"AAA111\rBBB222\r"),
        (Settings(suffix="lf"), b"AAA111\nBBB222\n"),
        (Settings(suffix="crlf"), b"AAA111\r\nBBB222\r\n"),
        (Settings(), b"AAA111\rBBB222\n"),
        (Settings(), b"AAA111\r\nBBB222\r\n"),
    ],
)
def test_merged_scans_are_parted_at_their_suffix(settings: Settings, scans: bytes) -> None:
    assert bodies(scans, settings) == [SealRead("AAA111"), SealRead("BBB222")]


def test_a_line_feed_after_carriage_return_goes_with_the_next_scan_or_the_end() -> None:
    scanner = opened()
    assert [r.raw for r in scanner.received(b"AAA111\r\nBBB222\r\n", 10.0)] == [b"AAA111\r", b"\nBBB222\r"]
    assert scanner.next_wake() is None, "nothing is unfinished"
    assert list(scanner.woke(20.0)) == []
    assert list(scanner.woke(math.inf)) == [Reading(Opaque("line_end", ()), 10.0, b"\n")]
    assert list(scanner.woke(math.inf)) == []
    assert scanner.to_send() == b""


@pytest.mark.parametrize(("suffix", "said"), [("lf", b"AAA111\r\n"), ("cr", b"\nAAA111\r")])
def test_a_suffix_set_up_otherwise_is_said(suffix: str, said: bytes) -> None:
    (body,) = bodies(said, Settings.model_validate({"suffix": suffix}))
    assert body == Malformed("the end of a line within a scan: `suffix` is not as the scanner is set up")


def test_a_prefix() -> None:
    settings = Settings(prefix="\x02S:")
    assert bodies(b"\x02S:]C0HQ0012345\r]C0HQ0012345\r", settings) == [
        SealRead("HQ0012345", "Code 128"),
        Malformed("without its prefix '\\x02S:'"),
    ]


def test_an_unfinished_scan_is_given_up_and_its_rest_is_no_seal() -> None:
    scanner = opened()
    assert list(scanner.received(b"SE", 10.0)) == []
    assert scanner.next_wake() == 10.5
    assert list(scanner.woke(10.4)) == []
    assert list(scanner.woke(10.5)) == [Reading(Malformed("a scan without its end"), 10.0, b"SE")]
    assert scanner.next_wake() is None
    rest = Malformed("perhaps the rest of an unfinished scan")
    assert [r.body for r in scanner.received(b"AL1234\rAL1234\r", 10.9)] == [rest, SealRead("AL1234")]


def test_a_beginning_is_known_by_its_mark_or_by_the_time_gone_by() -> None:
    scanner = opened()
    scanner.received(b"SE", 10.0)
    assert list(scanner.woke(10.5))
    assert [r.body for r in scanner.received(b"]C0AL1234\r", 10.9)] == [SealRead("AL1234", "Code 128")]
    scanner.received(b"SE", 20.0)
    assert list(scanner.woke(20.5))
    assert [r.body for r in scanner.received(b"AL1234\r", 20.0 + REST_S)] == [SealRead("AL1234")]


@pytest.mark.parametrize("now", [10.0, math.nan])
def test_a_scan_without_end_is_given_up_by_length(now: float) -> None:
    scanner = opened(now=now)
    data = b"7" * (SCAN_LIMIT + 5) + b"\r"
    assert [(r.body, len(r.raw)) for r in scanner.received(data, now)] == [
        (Malformed("8192 bytes without the end of a scan"), SCAN_LIMIT),
        (Malformed("perhaps the rest of an unfinished scan"), 6),
    ]
    assert [r.body for r in scanner.received(b"AAA111\r", now)] == [SealRead("AAA111")]


def test_a_suffix_across_the_limit_is_no_part_of_the_next_scan() -> None:
    scanner = opened(Settings(suffix="crlf"))
    (long,) = scanner.received(b"7" * (SCAN_LIMIT - 1) + b"\r", 10.0)
    assert len(long.raw) == SCAN_LIMIT - 1
    assert [r.body for r in scanner.received(b"\nAAA111\r\n", 10.0)] == [
        Malformed("a scan of nothing"),
        SealRead("AAA111"),
    ]


GS1_SEALS = Settings(seal_identifier="21")


@pytest.mark.parametrize(
    ("scan", "body"),
    [
        (b"]C10010614141123456789721HQ0012345\r", SealRead("HQ0012345", "GS1-128")),
        (b"]d221HQ0012345\x1d10LOT7\r", SealRead("HQ0012345", "GS1 DataMatrix")),
        (b"]C121no digit\r", Opaque("barcode", ("21no digit", "GS1-128", "(21)no digit"))),
        (b"]C0HQ0012345\r", SealRead("HQ0012345", "Code 128")),
    ],
)
def test_seals_with_their_number_under_a_gs1_identifier(scan: bytes, body: Body) -> None:
    assert bodies(scan, GS1_SEALS) == [body]


@pytest.mark.parametrize(
    ("label", "number"),
    [
        ("HQ0012345", "HQ0012345"),
        ("HQ0012345 H", "HQ0012345"),  # class H stands on the label
        ("MAKER/HQ0012345/H", ""),
        ("HQ0012345" + " " * 60 + "H", ""),  # longer than any label
        ("1234567", ""),
    ],
)
def test_a_pattern_of_the_labels_here(label: str, number: str) -> None:
    settings = Settings.model_validate({"seal_pattern": r"(?P<number>[A-Z]{2}[0-9]{7})(?:\s+H)?"})
    said = SealRead(number, "Code 128") if number else Opaque("barcode", (label, "Code 128"))
    assert bodies(f"]C0{label}\r".encode(), settings) == [said]


def test_a_pattern_whose_number_is_missing_or_none() -> None:
    with pytest.raises(ValidationError, match=r"a group \(\?P<number>"):
        Settings.model_validate({"seal_pattern": "[A-Z]+"})
    maybe = Settings.model_validate({"seal_pattern": "X|(?P<number>[A-Z]{2}[0-9]{7})"})
    assert bodies(b"X\r", maybe) == [Opaque("barcode", ("X", ""))]


@pytest.mark.parametrize(
    ("settings", "said", "pieces"),
    [
        ({}, b"]C0HQ0012345]C0HQ0012346\r", [b"]C0HQ0012345", b"]C0HQ0012346\r"]),
        ({}, b"]C0AAA111]A0BBB222]C0CCC333\r", [b"]C0AAA111", b"]A0BBB222", b"]C0CCC333\r"]),
        ({"prefix": "S:"}, b"S:]C0AAA111S:]C0BBB222\r", [b"S:]C0AAA111", b"S:]C0BBB222\r"]),
        ({"prefix": "\x02", "suffix": "etx"}, b"\x02AAA111\x02BBB222\x03", [b"\x02AAA111", b"\x02BBB222\x03"]),
    ],
)
def test_scans_that_came_without_an_end_between_them(
    settings: dict[str, str], said: bytes, pieces: list[bytes]
) -> None:
    readings = list(opened(Settings.model_validate(settings)).received(said, 10.0))
    assert [reading.raw for reading in readings] == pieces
    assert all(isinstance(reading.body, SealRead) for reading in readings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, b"]C0AAA111]C0\r"),  # the second is no seal: perhaps the text really reads so
        ({}, b"]L0AAA111]L0BBB222\r"),
        ({}, b"AAA111]C0BBB222\r"),
        ({"prefix": "S"}, b"SAAA111SBBB222\r"),  # a prefix that a number may hold parts nothing
    ],
)
def test_what_is_not_taken_apart(settings: dict[str, str], said: bytes) -> None:
    (reading,) = opened(Settings.model_validate(settings)).received(said, 10.0)
    assert reading.raw == said


def test_several_prefixes() -> None:
    settings = Settings(prefix=("A:", "AB:"))
    assert bodies(b"A:]C0HQ0012345\rAB:HQ0012346\rHQ0012347\r", settings) == [
        SealRead("HQ0012345", "Code 128"),
        SealRead("HQ0012346"),
        Malformed("without its prefix 'AB:' or 'A:'"),
    ]


def test_stx_and_etx() -> None:
    settings = Settings(prefix="\x02", suffix="etx")
    assert bodies(b"\x02]C0HQ0012345\x03\x02]C0HQ0012346\x03", settings) == [
        SealRead("HQ0012345", "Code 128"),
        SealRead("HQ0012346", "Code 128"),
    ]


def test_a_fixed_scanner_that_read_nothing() -> None:
    assert bodies(b"NoRead\r") == [Opaque("no_read", ())]
    assert bodies(b"?\r", Settings(no_read=frozenset({"?"}))) == [Opaque("no_read", ())]
    assert bodies(b"?\r") == [Opaque("barcode", ("?", ""))]

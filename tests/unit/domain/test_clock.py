from datetime import UTC, timedelta

from edge_agent.domain.clock import ClockState, SystemClock, at_monotonic
from edge_agent.domain.errors import SettingsInvalid
from edge_agent.domain.evidence import Evidence, EvidenceKind


def test_an_instant_can_be_dated_back() -> None:
    clock = SystemClock()
    now = clock.now()
    earlier = at_monotonic(clock, now.monotonic - 2)
    assert now.utc.tzinfo is UTC
    assert abs((now.utc - earlier.utc) - timedelta(seconds=2)) < timedelta(seconds=1)
    assert abs(earlier.monotonic - (now.monotonic - 2)) < 1e-6


def test_the_kernel_says_whether_the_clock_is_synchronised() -> None:
    assert SystemClock().now().clock_state in {ClockState.SYNCHRONISED, ClockState.UNSYNCHRONISED}


def test_the_kernel_says_how_far_off_the_clock_may_be() -> None:
    error = SystemClock().now().error
    assert error is not None
    assert 0 <= error.estimated_us <= 16_000_000  # the kernel's own limit, NTP_PHASE_LIMIT
    assert 0 < error.bound_us <= 16_000_000
    assert SystemClock().now().shifted(5).error is not None


def test_an_error_says_what_to_do() -> None:
    error = SettingsInvalid("lane.yaml:3: no such setting", "remove it")
    assert str(error) == "lane.yaml:3: no such setting\n  → remove it"
    assert str(SettingsInvalid("wrong")) == "wrong"


def test_evidence_is_named_by_its_digest() -> None:
    ref = Evidence(EvidenceKind.FRAME, "image/jpeg", b"abc").ref
    assert ref.sha256.hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert ref.size == 3

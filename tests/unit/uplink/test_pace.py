"""How fast evidence may go, and how soon a lost connection is tried again."""

import random
from pathlib import Path

import pytest
from pydantic import ValidationError

from edge_agent.uplink.evidence import TokenBucket
from edge_agent.uplink.link import BackOff, UplinkSettings


def test_evidence_keeps_its_rate_over_time() -> None:
    bucket = TokenBucket(rate=1000, burst=500, now=0.0)
    now, sent = 0.0, 0
    while sent < 10_000:
        now += bucket.delay(250, now)
        sent += 250
    assert now == pytest.approx((10_000 - 500) / 1000)


def test_a_pause_saves_up_no_more_than_a_burst() -> None:
    bucket = TokenBucket(rate=1000, burst=500, now=0.0)
    assert bucket.delay(500, 0.0) == 0.0
    assert bucket.delay(500, 3600.0) == 0.0
    assert bucket.delay(100, 3600.0) == pytest.approx(0.1)


def test_a_piece_larger_than_the_burst_waits_for_its_share() -> None:
    assert TokenBucket(rate=1000, burst=500, now=0.0).delay(1500, 0.0) == pytest.approx(1.0)


def test_delays_double_up_to_their_bound_with_full_jitter() -> None:
    class Highest(random.Random):
        def uniform(self, a: float, b: float) -> float:
            assert a == 0
            return b

    back_off = BackOff(0.5, 30.0, Highest())
    assert [back_off.next_delay() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    for _ in range(5_000):
        assert back_off.next_delay() == 30
    back_off.reset()
    assert back_off.next_delay() == 0.5
    spread = [BackOff(10, 10, random.Random(seed)).next_delay() for seed in range(200)]
    assert min(spread) < 1
    assert max(spread) > 9


@pytest.mark.parametrize("gateway", ["port.example", "port.example:", ":8443", "http://x:1", "a b:1", "x:123456"])
def test_a_gateway_is_a_host_and_a_port(gateway: str) -> None:
    with pytest.raises(ValidationError):
        UplinkSettings(gateway=gateway, gateway_certificate=Path("gateway.crt"))


@pytest.mark.parametrize("gateway", ["port.example:8443", "10.0.0.1:1", "[::1]:8443", "localhost:50051"])
def test_names_and_addresses_are_taken(gateway: str) -> None:
    assert UplinkSettings(gateway=gateway, gateway_certificate=Path("gateway.crt")).gateway == gateway

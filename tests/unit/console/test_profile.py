import xml.etree.ElementTree as ET
from functools import partial

from edge_agent.console.profile import MAX_POINTS, Sample, drawn, nice_step, nice_top, read_profile, thinned
from edge_agent.console.words import said

HEADER = "utc,device,kind,channel,in_alarm,interval_s,counts,raw\r\n"


def line(second: float, counts: str, channel: str = "occupied", alarm: int = 0, interval: str = "0.2") -> str:
    return f'2026-01-15T06:00:{second:06.3f}+00:00,portal,gamma,{channel},{alarm},{interval},{counts},"x"\r\n'


def test_counts_become_rates_and_the_background_its_median() -> None:
    text = HEADER + line(0, "300 310", "background", interval="1") + line(1, "302 900", "background", interval="1")
    text += line(2, "60 62") + line(3, "400 62", alarm=1)
    [chart] = read_profile(text.encode()).charts
    assert chart.background == (301.0, 605.0)
    assert [sample.cps for sample in chart.samples] == [(300.0, 310.0), (2000.0, 310.0)]
    assert (chart.peak, chart.in_alarm, chart.panels) == (2000.0, True, 2)
    svg = ET.fromstring(drawn(chart, lambda key, **values: said("en", key, values), "en"))  # noqa: S314 - our own
    shapes = [element.get("class") for element in svg.iter()]
    assert shapes.count("alarm") == 1
    assert sum(str(one).startswith("panel") for one in shapes) == 4  # a line and its sign in the legend for each


def test_lines_that_are_none_are_left_out() -> None:
    bad = ["", "no,csv\r\n", line(1, ""), line(1, "-"), line(1, "5", interval="0"), line(1, "5", interval="nan")]
    bad += [line(1, "5").replace("2026", "never"), "\x00\xff,,,,,,,\r\n"]
    bad += [line(1, "9" * 400), line(1, "5").replace("x", "x" * 200_000)]
    assert read_profile((HEADER + "".join(bad)).encode("latin-1")).charts == ()
    assert len(read_profile((HEADER + "".join(bad) + line(2, "5")).encode("latin-1")).charts) == 1
    assert read_profile(b"").charts == ()


def test_a_devices_name_is_text() -> None:
    text = HEADER + line(1, "5").replace("portal", '"<script>x</script>"')
    [chart] = read_profile(text.encode()).charts
    say = partial(lambda key, **values: said("en", key, values))
    assert "<script" not in drawn(chart, say, "en")


def test_of_many_samples_the_highest_stay() -> None:
    samples = [Sample(float(at), (900.0 if at == 777 else 1.0,), at == 500) for at in range(5000)]
    few = thinned(samples)
    assert len(few) == MAX_POINTS
    assert max(sample.cps[0] for sample in few) == 900.0
    assert sum(sample.in_alarm for sample in few) == 1


def test_axes_end_at_round_numbers() -> None:
    assert [nice_step(least) for least in (0.3, 1.0, 1.7, 3.0, 120.0)] == [0.5, 1.0, 2.0, 5.0, 200.0]
    assert nice_top(1900) == 2000

"""The plug-in as an integrator's tests use it: a program of their own that reads the portal, and no agent of ours."""

import os
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
REPOSITORY = Path(__file__).parents[3]

# What an integrator might have: it parses the VM-250's lines itself.
PROGRAM = """
import socket, threading

class Portal:
    def __init__(self, url):
        host, port = url.removeprefix("socket://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.occupancies, self.alarm, self.ended = [], False, None
        self.news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for line in self.socket.makefile("r", newline="\\r\\n"):
                tag, *fields = line.strip().split(",")
                with self.news:
                    if tag == "NS" and self.ended is not False:
                        self.alarm, self.ended = False, False
                    elif tag in ("GA", "NA"):
                        self.alarm, self.ended = True, False
                    elif tag == "GX":
                        self.occupancies.append((int(fields[0]), self.alarm))
                        self.ended = True
                    self.news.notify_all()
        except OSError:
            pass
        with self.news:
            self.ended = None
            self.news.notify_all()

    def wait(self, condition):
        with self.news:
            assert self.news.wait_for(condition, 60)
"""

TESTS = """
import pytest, socket
from program import Portal

def test_an_alarm(lane, truck):
    portal = Portal(lane.url("portal"))
    quiet = truck(plate="MXR 7319@US-AZ", cargo="none")
    hot = truck(cargo={"kind": "source", "gamma_cps": 30000})
    portal.wait(lambda: len(portal.occupancies) == 2)
    assert portal.occupancies == [(1, False), (2, True)]
    assert (quiet["plate"], quiet["region"]) == ("MXR7319", "US-AZ")
    assert [t["devices"]["portal"]["gamma_alarm"] for t in (quiet, hot)] == [False, True]
    assert [t["id"] for t in lane.truths] == ["1-0001", "1-0002"]

def test_each_test_has_a_lane_of_its_own(lane):
    assert lane.truths == []
    assert lane.scenario.title == "An empty lane, for trucks on demand"

def test_a_fault_ends_with_its_block(lane, fault):
    portal = Portal(lane.url("portal"))
    with fault("portal", "hang_up", for_s=None) as hung_up:
        portal.wait(lambda: portal.ended is None)
        assert hung_up.active
    assert not hung_up.active

def test_a_fault_ends_with_the_test(lane, fault):
    assert fault("portal", "silence").active

@pytest.mark.lane("scripted.yaml", seed=3, speed=10)
def test_a_scenario_of_ones_own(lane):
    assert list(lane.places) == ["scanner"]
    assert lane.url("scanner").endswith("scanner.tty")
    assert lane.truths == []
    lane.start()
    assert lane.truth("south-0002")["lane"] == "south"

def test_what_cannot_be_is_said(lane, truck, fault):
    with pytest.raises(ValueError, match="gross_kg"):
        truck(gross_kg=3)
    with pytest.raises(ValueError, match="cannot happen to portal"):
        fault("portal", "black")
    with pytest.raises(ValueError, match="there is no kind 'explode'"):
        fault("portal", "explode")
    with pytest.raises(KeyError, match="there is no camera"):
        lane.url("camera")
    with pytest.raises(TimeoutError, match="has not left"):
        lane.truth("1-0099", timeout=0.01)

def test_none_of_the_agent_is_needed(lane):
    import sys
    ours = [m for m in sys.modules if m.startswith("edge_agent")]
    settings = ("settings_file", "settings_numbers", "settings_words")
    assert not [m for m in ours if m.split(".")[1:2] not in ([], ["domain"], *([s] for s in settings))], ours
"""

SCRIPTED = """
title: Two trucks
lanes:
  south:
    drive: {speed_mps: 14}
    devices: {scanner: {kind: barcode_scanner, links: [{kind: pty, path: scanner.tty}]}}
    traffic: {count: 2, gap_s: 2}
"""


@pytest.fixture
def theirs(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]))
    pytester.makepyfile(program=PROGRAM, test_theirs=TESTS)
    pytester.makefile(".yaml", scripted=SCRIPTED)
    return pytester


def run(theirs: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return theirs.run(
        sys.executable, "-m", "pytest", "-p", "hardware_sim.pytest_plugin", "-p", "no:cacheprovider",
        "-p", "no:asyncio", "--strict-markers", *arguments, timeout=180,
    )  # fmt: skip


def test_their_tests_pass_on_our_lane(theirs: pytest.Pytester) -> None:
    run(theirs, "--sim-speed", "3").assert_outcomes(passed=7)


def test_their_mistakes_are_found(theirs: pytest.Pytester) -> None:
    """A program that takes every line for an alarm fails, and so does one whose lane does not come up."""
    program = theirs.path / "program.py"
    program.write_text(program.read_text().replace('("GA", "NA")', '("GS", "NS")'))
    (theirs.path / "scripted.yaml").write_text("title: nothing\n")
    result = run(theirs, "--sim-speed", "3", "-k", "test_an_alarm or scenario_of_ones_own")
    result.assert_outcomes(failed=1, errors=1)
    assert "lanes: this setting is missing" in result.stdout.str()


def test_a_scenario_by_ini_and_over_it_by_option(theirs: pytest.Pytester) -> None:
    theirs.makepyfile(
        test_other="""
        import pytest
        def test_it(lane):
            assert lane.scenario.title == "Two trucks"
        @pytest.mark.lane("quiet")
        def test_its_own(lane):
            assert lane.scenario.title != "Two trucks"
        """
    )
    theirs.makeini("[pytest]\nhardware_sim_scenario = source\n")
    run(theirs, "--sim-scenario", "scripted.yaml", "test_other.py").assert_outcomes(passed=2)

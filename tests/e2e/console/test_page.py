"""The booth's page as an officer has it: in a real browser, of a booth that stopped at a moment of a stepped run."""

import copy
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from edge_agent.console.passwords import Hashed
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.observation import PlateRead, Reading, SealRead
from hardware_sim.world.lane import Lane
from tests.e2e.console.browser import WAIT_MS, chromium, faults, live, page
from tests.e2e.console.moment import Moment, Served, Snapshot, decided, moment, trucks
from tests.e2e.stepped_booth import oracle

PASSWORD = "tumbleweed over the bridge"
HOSTILE = "<script>window.owned=1</script><img src=x onerror=window.owned=2>&amp;{{7*7}}"
# The smallest PNG: one grey pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)

expect.set_options(timeout=WAIT_MS)
pytestmark = pytest.mark.timeout(300)


def eye(lane: Lane, role: str, at: float) -> Iterator[Reading]:
    """As the oracle; a picture with every plate, and a seal's label that was printed to do harm."""
    for reading in oracle(lane, role, at):
        if isinstance(reading.body, PlateRead):
            yield replace(reading, evidence=(Evidence(EvidenceKind.PLATE_CROP, "image/png", PIXEL),))
            yield Reading(SealRead(HOSTILE), at)
        else:
            yield reading


def in_alarm(snapshot: Snapshot) -> bool:
    lane = snapshot["lanes"][0]
    return bool(lane["alarms"] and lane["vehicles"] and any(read["what"] == "container_code" for read in lane["reads"]))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Moment:
    source = {"night": False, "cargo": {"kind": "source", "gamma_cps": 1100, "shielding": 0.1}}
    folder = tmp_path_factory.mktemp("booth")
    other = {"night": False, "seal": None, "declared": {"container_codes": ["CSQU3054383"], "seals": ["EMX7457430"]}}
    return moment(folder, trucks({"night": False}, other, source), in_alarm, eye, also=decided, announced=True)


@pytest.fixture
def served(stopped: Moment) -> Iterator[Served]:
    with Served(stopped).serving() as running:
        yield running


def test_what_the_lane_does_and_what_came_before_it(browser: Browser, served: Served) -> None:
    with page(browser, served.url) as shown:
        live(shown)
        expect(shown.locator(".banner.alarm")).to_contain_text("GAMMA ALARM in lane 1")
        expect(shown.locator(".lane .state")).to_contain_text("Vehicle in the lane")
        codes = [read["text"] for read in served.snapshot["lanes"][0]["reads"] if read["what"] == "container_code"]
        expect(shown.locator(".reads")).to_contain_text(codes[0])
        expect(shown.locator("#devices")).to_contain_text("seal-scanner")
        expect(shown.locator(".vehicles li")).to_have_count(2)
        chart = shown.locator("svg.profile").first
        expect(chart).to_have_attribute(
            "aria-label", re.compile(r"Gamma counts of portal.* 4 panels over \d+ s, at most \d+ counts")
        )
        expect(chart.locator("polyline.panel")).to_have_count(4)
        expect(shown.locator(".pictures img").first).to_have_js_property("naturalWidth", 1)
        expect(shown.locator("#health")).to_contain_text("events are kept")


def test_what_was_declared_and_what_was_decided(browser: Browser, served: Served) -> None:
    with page(browser, served.url) as shown:
        live(shown)
        decided = shown.locator(".advice .decided")
        expect(decided).to_contain_text("Referred to secondary inspection, by R. Vega: seal and cargo")
        expect(shown.locator(".vehicles li").first.locator(".badge")).to_have_text("Referred")
        expect(shown.locator(".match")).to_contain_text("Matches 1-7-2")
        expect(shown.locator(".match")).to_contain_text("the list was")
        rows = shown.locator(".compared tbody tr")
        for what, declared in (("container code", "CSQU3054383"), ("seal", "EMX7457430")):
            row = rows.filter(has_text=declared)
            expect(row.locator("th")).to_have_text(what)
            expect(row.locator("td").last).to_have_text("OTHER THAN DECLARED")
        expect(shown.locator("#health")).to_contain_text(re.compile(r"3 vehicles, confirmed at [\d:]+ \(\d"))
        served.clock.forward(15 * 60)
        expect(shown.locator("#health .warn").filter(has_text="Expected by the port")).to_have_count(1)
        shown.locator(".vehicles a").last.click()
        live(shown)
        expect(shown.locator(".match b")).to_have_text("Matches 1-7-1")
        expect(shown.locator(".compared .bad")).to_have_count(0)
        assert not faults(shown)


@pytest.mark.parametrize("width", [390, 1280])
def test_ten_alarms_names_without_an_end_and_a_clock_that_runs_free(
    browser: Browser, served: Served, width: int
) -> None:
    crowded = copy.deepcopy(served.snapshot)
    lane, name = crowded["lanes"][0], "a-portal-with-a-name-as-long-as-the-settings-allow-" + 12 * "n"
    at = crowded["now"] - 3000
    lane["alarms"] = [
        {"device": f"{number}{name}", "kind": ("gamma", "neutron")[number % 2], "at": at, "inspection": ""}
        for number in range(10)
    ]
    long = {"what": "seal", "text": "W" * 80, "device": name, "first": at, "at": at, "times": 1}
    lane["reads"] = [{**long, "text": f"{number}{'W' * 79}"} for number in range(24)]
    faulty = [{"fault": "tampered", "detail": "d" * 200}] * 8
    lane["devices"] += [
        {"id": name, "what": "w" * 90, "state": "failed", "since": at, "detail": "d" * 200, "faults": faulty}
    ]
    crowded["room"] = {"has": False, "detail": "x" * 200}
    crowded["booth"] = f"spiffe://{'port' * 10}/booth/{name}"
    crowded["lanes"].append({**lane, "id": "L" * 63, "devices": [], "reads": [], "vehicles": [], "alarms": []})
    served.tell(crowded)
    served.clock.runs_free()
    with page(browser, served.url, viewport={"width": width, "height": 900}) as shown:
        live(shown)
        expect(shown.locator(".banner.alarm span")).to_have_text(["GAMMA ALARM in lane 1", "NEUTRON ALARM in lane 1"])
        expect(shown.locator(".radiation")).to_have_count(2)
        expect(shown.locator(".radiation li")).to_have_count(10)
        states = shown.evaluate("[...document.querySelectorAll('.device-state')].map((e) => e.offsetHeight)")
        assert max(states) < 40, "a state is broken into several lines"
        expect(shown.locator(".banner.doubt")).to_contain_text("This booth's clock follows no time source")
        expect(shown.locator("#health .warn").filter(has_text="Clock")).to_contain_text("RUNS FREE")
        expect(shown.locator("#devices")).to_contain_text("The settings name no device of this lane.")
        assert not faults(shown)


def test_a_devices_words_are_words(browser: Browser, served: Served) -> None:
    with page(browser, served.url) as shown:
        live(shown)
        expect(shown.locator(".reads")).to_contain_text(HOSTILE[:60])
        expect(shown.locator(".record").first).to_contain_text(HOSTILE)
        assert shown.evaluate("window.owned") is None
        assert shown.locator("main script").count() == 0


def test_it_goes_on_by_itself_and_says_when_it_no_longer_can(browser: Browser, served: Served) -> None:
    with page(browser, served.url) as shown:
        live(shown)
        shown.evaluate("window.sameDocument = true")
        shown.locator(".vehicles a").first.focus()
        later = copy.deepcopy(served.snapshot)
        later["lanes"][0] |= {"alarms": [], "vehicles": [], "occupied": [], "reads": []}
        later["lanes"][0]["devices"][0] |= {"state": "offline", "detail": "connection refused"}
        served.tell(later)
        expect(shown.locator(".lane .state")).to_contain_text("Free")
        expect(shown.locator(".banner.alarm")).to_have_count(0)
        expect(shown.locator("#devices .offline")).to_contain_text("connection refused")
        full = copy.deepcopy(later)
        full["room"] = {"has": False, "detail": "no space left on device"}
        served.tell(full)
        expect(shown.locator("#banner")).to_contain_text("NOTHING IS BEING RECORDED: no space left on device")
        served.silence()
        expect(shown.locator("#banner")).to_contain_text("THE AGENT DOES NOT ANSWER")
        expect(shown.locator(".lane.gone")).to_contain_text("Not known")
        assert shown.evaluate("window.sameDocument"), "the page was loaded anew"
        assert shown.evaluate("document.activeElement.id").startswith("v-"), "the focus was lost"


def test_a_broken_line_is_said_and_mended(browser: Browser, stopped: Moment) -> None:
    with Served(stopped).serving() as first, page(browser, first.url) as shown:
        live(shown)
        expect(shown.locator("#stale")).to_be_hidden()
        shown.context.set_offline(True)
        first.stop()
        shown.clock.fast_forward(13_000)
        expect(shown.locator("#stale")).to_contain_text("NO LIVE DATA since")
        expect(shown.locator(".lane .state")).to_contain_text("Vehicle in the lane")  # of then, and marked as such
        shown.context.set_offline(False)
        with Served(stopped, port=int(first.url.rsplit(":", 1)[1].strip("/"))).serving():
            expect(shown.locator("#stale")).to_be_hidden()
            live(shown)


def test_in_spanish_and_by_night_and_the_choice_stays(browser: Browser, served: Served) -> None:
    with page(browser, served.url) as shown:
        live(shown)
        shown.get_by_role("button", name="Español").click()
        expect(shown.locator("html")).to_have_attribute("lang", "es")
        expect(shown.locator(".banner.alarm")).to_contain_text("ALARMA GAMMA en el carril 1")
        for heading in ("Aparatos", "Último vehículo", "Vehículos anteriores", "Registro y enlace"):
            expect(shown.get_by_role("heading", name=heading)).to_be_visible()
        shown.get_by_role("button", name="Noche").click()
        shown.wait_for_selector("html[data-theme=night]")
        live(shown)
        assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(8, 11, 15)"
        shown.reload()
        expect(shown.locator("html[data-theme=night][lang=es]")).to_have_count(1)
        assert not faults(live(shown))
    with page(browser, served.url, locale="es-MX", color_scheme="dark") as asked:
        expect(asked.locator("html")).to_have_attribute("lang", "es")
        assert asked.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(8, 11, 15)"


def test_with_the_keyboard_alone(browser: Browser, served: Served) -> None:
    with page(browser, served.url) as shown:
        live(shown)
        keys = shown.keyboard
        keys.press("Tab")
        assert focused(shown) == "Go to the lane"
        keys.press("Enter")
        keys.press("Tab")
        reached = {focused(shown)}
        for _ in range(40):
            keys.press("Tab")
            reached.add(focused(shown))
        links = shown.evaluate(
            "[...document.querySelectorAll('a, button')].map((e) => e.textContent.trim().replace(/\\s+/g, ' '))"
        )
        assert set(links) <= reached
        for key, heading in (
            ("l", "Lane 1"),
            ("v", "Last vehicle"),
            ("e", "Earlier"),
            ("d", "Devices"),
            ("h", "Ledger"),
        ):
            keys.press(key)
            assert focused(shown).startswith(heading)
        keys.press("e")
        keys.press("Tab")
        keys.press("Enter")
        shown.wait_for_url("**/vehicle/*")
        live(shown)
        keys.press("v")
        assert focused(shown).startswith("Vehicle")
        keys.press("n")
        expect(shown.locator("html")).to_have_attribute("data-theme", "night")


def focused(shown: Page) -> str:
    """What the focus is on; it can be seen there."""
    found = shown.evaluate(
        "(() => { const e = document.activeElement, s = getComputedStyle(e);"
        " return [e.textContent.trim().replace(/\\s+/g, ' '), e === document.body || parseFloat(s.outlineWidth) >= 2"
        " && s.outlineStyle !== 'none']; })()"
    )
    assert found[1], f"no focus is seen on {found[0]!r}"
    return str(found[0])


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_on_a_phone(browser: Browser, served: Served, colours: str) -> None:
    small = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with page(browser, served.url, color_scheme=colours, **small) as shown:
        live(shown)
        assert not faults(shown)
        shown.locator(".vehicles a").last.tap()
        shown.wait_for_url("**/vehicle/*")
        assert not faults(live(shown))


def test_without_scripts_it_is_whole_and_renews_itself(browser: Browser, served: Served) -> None:
    with page(browser, served.url, java_script_enabled=False) as shown:
        expect(shown.locator(".banner.alarm")).to_be_visible()
        expect(shown.locator("svg.profile").first).to_be_visible()
        expect(shown.locator("noscript meta[http-equiv=refresh]")).to_have_attribute("content", "5")


def test_the_password_and_what_becomes_of_a_session(browser: Browser, tmp_path: Path, stopped: Moment) -> None:
    Hashed.of(PASSWORD).write(tmp_path / "page.password")
    served = Served(stopped, password_file=str(tmp_path / "page.password"))
    with served.serving(), page(browser, served.url) as shown:
        assert not faults(shown)
        shown.get_by_label("Password of this booth").fill("tumbleweed over the ridge")
        shown.get_by_role("button", name="Log in").click()
        expect(shown.get_by_role("alert")).to_contain_text("That is not the password.")
        shown.get_by_label("Password of this booth").fill(PASSWORD)
        shown.keyboard.press("Enter")
        live(shown)
        [cookie] = [one for one in shown.context.cookies() if one["name"] == "console"]
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        served.clock.forward(13 * 3600)
        expect(shown.get_by_role("alert")).to_contain_text("Your session is over")
        shown.context.add_cookies([{"name": "console", "value": "A" * 43, "url": served.url}])
        shown.goto(served.url)
        expect(shown.get_by_role("alert")).to_contain_text("it is forged, or older than the page's last start")

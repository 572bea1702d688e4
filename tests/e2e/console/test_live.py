"""A simulated truck drives through the lane of a real agent, and the page shows it while it does."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import expect

from edge_agent.domain.clock import SystemClock
from edge_agent.wire.identity import Role, SpiffeId, create_identity
from tests.e2e.console.browser import WAIT_MS, chromium, live, page

SCENARIO = {
    "title": "One truck with a source",
    "seed": 5,
    "lanes": {
        "1": {
            "drive": {"speed_mps": [4.0, 4.0]},
            "devices": {
                "portal": {"kind": "rapiscan_vm250", "hold_in": 3, "links": [{"kind": "tcp"}]},
                "seal-scanner": {"kind": "barcode_scanner", "links": [{"kind": "tcp"}]},
            },
            "traffic": {
                "first_truck_s": 4.0,
                "trucks": [{"cargo": {"kind": "source", "gamma_cps": 1100, "shielding": 0.1}}],
            },
        }
    },
}

expect.set_options(timeout=WAIT_MS)


@contextmanager
def program(folder: Path, module: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", module, *arguments]
    pipe = subprocess.PIPE
    with (folder / f"{module}.log").open("a") as log:
        running = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True)
    with running:
        try:
            yield running
        finally:
            running.terminate()


def said(running: "subprocess.Popen[str]") -> dict[str, Any]:
    assert running.stdout is not None
    answer: dict[str, Any] = json.loads(running.stdout.readline())
    return answer


def settings(folder: Path, devices: dict[str, Any]) -> str:
    keys, now = folder / "keys", SystemClock().now().utc
    create_identity(keys, "booth", SpiffeId("uslrd", Role.BOOTH, "lane-1"), now)
    create_identity(keys, "gateway", SpiffeId("uslrd", Role.GATEWAY, "main"), now, ("127.0.0.1",))
    booth = {
        "identity": {"key": "keys/booth.key", "certificate": "keys/booth.crt"},
        "ledger": {"directory": "ledger"},
        "uplink": {"gateway": "127.0.0.1:9", "gateway_certificate": "keys/gateway.crt"},  # nobody is there
        "console": {"listen": "127.0.0.1:0"},
        "lanes": [
            {
                "id": "1",
                "expects": ["seal", "radiation"],
                "devices": [
                    {"id": name, "driver": device["kind"], "link": {"url": device["url"]}}
                    for name, device in devices.items()
                ],
            }
        ],
    }
    (folder / "booth.yaml").write_text(yaml.safe_dump(booth))
    return str(folder / "booth.yaml")


@pytest.mark.timeout(300)
def test_a_truck_passes_while_somebody_looks(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(SCENARIO))
    with ExitStack() as stack:
        browser = stack.enter_context(chromium())
        run = ("run", str(tmp_path / "one.yaml"), "--json", "--hold", "--out", str(tmp_path / "sim"))
        simulator = stack.enter_context(program(tmp_path, "hardware_sim", *run))
        config = settings(tmp_path, said(simulator)["devices"])
        serving = stack.enter_context(program(tmp_path, "edge_agent", "console", "serve", config, "--json"))
        with page(browser, said(serving)["url"]) as shown:
            live(shown)
            expect(shown.locator("#banner")).to_contain_text("THE AGENT DOES NOT ANSWER")
            agent = stack.enter_context(program(tmp_path, "edge_agent", "run", config))
            expect(shown.locator(".lane .state")).to_contain_text("Free")
            expect(shown.locator("#devices .online, #devices .waiting")).to_have_count(2)
            expect(shown.locator("#health")).to_contain_text("DOWN")  # the link to the port
            shown.evaluate("window.sameDocument = true")
            assert simulator.stdin is not None
            simulator.stdin.write("go\n")
            simulator.stdin.flush()
            expect(shown.locator(".lane .state")).to_contain_text("Vehicle in the lane")
            expect(shown.locator(".lane .radiation")).to_contain_text("GAMMA ALARM")
            expect(shown.locator("#vehicle .record")).to_contain_text("GAMMA ALARM")
            expect(shown.locator("svg.profile .alarm").first).to_be_attached()
            expect(shown.locator("#vehicle .advice")).to_contain_text("Hold")
            expect(shown.locator(".lane .state")).to_contain_text("Free")
            waiting = re.compile(r"[1-9]\d* events")
            expect(shown.locator("#health")).to_contain_text(waiting)
            agent.kill()
            expect(shown.locator("#banner")).to_contain_text("THE AGENT DOES NOT ANSWER")
            expect(shown.locator("#vehicle .record")).to_contain_text("GAMMA ALARM")  # what is durable stays in view
            assert shown.evaluate("window.sameDocument")

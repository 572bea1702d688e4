"""Every kind of device in one lane, over its real transport: simulator, agent, gateway, back-office, score."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_agent.demo.processes import Program, finished, program
from tests.e2e.port import Site, free_port, inspections

TOKEN = "a-token-for-this-test-only"
TRUCKS: list[dict[str, Any]] = [
    {"cargo": {"kind": "norm"}},
    {"seal_opened": True, "cargo": {"kind": "source", "nuclide": "Cs-137"}},
    {"containers": [{}, {}]},
]
# The electronic seals and the windscreens' tags that the simulator's trucks carry.
SEALS = {"text_prefix": ["HS", "ML", "UNL", "EMX"], "tamper": {"bank": "user", "word": 0, "bit": 0}}


def scenario(folder: Path, dicom: int, http: int) -> Path:
    """The shipped one, without cameras, with trucks of our choice, and the scanners sent to our ports."""
    shipped = yaml.safe_load((files("hardware_sim") / "scenarios" / "all-devices.yaml").read_text())
    lane = shipped["lanes"]["1"]
    del lane["cameras"]
    lane["devices"]["scanner-dicom"] |= {"port": dicom, "called": "EDGE-AGENT", "delay_s": 1.0}
    lane["devices"]["scanner-http"] |= {"to": f"http://127.0.0.1:{http}/scans", "token": TOKEN, "delay_s": 1.0}
    lane["devices"]["scanner-folder"] |= {"delay_s": 1.0}
    lane["traffic"] |= {"trucks": TRUCKS, "gap_s": [16, 16]}  # so long that the slowest device answers before the next
    path = folder / "lane.yaml"
    path.write_text(yaml.safe_dump(shipped))
    return path


def devices(folder: Path, at: dict[str, str], dicom: int, http: int) -> list[dict[str, Any]]:
    """The booth's devices; `at` is where the simulator has put each."""
    (folder / "token").write_text(TOKEN + "\n")

    def place(name: str) -> tuple[str, int]:
        host, _, port = at[name].partition("://")[2].partition("/")[0].rpartition(":")
        return host, int(port)

    def wired(name: str, driver: str, **settings: Any) -> dict[str, Any]:
        return {"id": name, "driver": driver, "link": {"url": at[name]}, "settings": settings}

    def served(name: str, driver: str, **settings: Any) -> dict[str, Any]:
        host, port = place(name)
        return {"id": name, "driver": driver, "settings": {"host": host, "port": port, **settings}}

    contacts = {"cts": {"sensor": "first barrier"}, "dsr": {"sensor": "second barrier"}}
    return [
        wired("portal", "rapiscan_vm250"),
        served("aspect-portal", "aspect_modbus"),
        wired("spectroscopic-portal", "spectroscopic_n42"),
        wired("seal-scanner", "barcode_scanner"),
        wired("tag-reader", "uhfreader18", model=288, antennas=[1, 2]),
        wired("seal-reader", "uhfreader18", seals=SEALS),
        served("llrp-reader", "llrp"),
        wired("separator", "sti_vs6400"),
        {
            "id": "light-barriers",
            "driver": "modem_lines",
            "settings": {"url": at["light-barriers"], "lines": contacts, "forward": ["cts", "dsr"]},
        },
        wired("scale-toledo", "toledo_continuous"),
        wired("scale-rice-lake", "rice_lake_iq355"),
        wired("scale-nci", "nci_scp01"),
        wired("scale-mt-sics", "mt_sics"),
        {
            "id": "scanner-folder",
            "driver": "watched_folder",
            "settings": {"directory": at["scanner-folder"], "settle_s": 0.5, "sidecar": {"taken": "taken_at"}},
        },
        {
            "id": "scanner-dicom",
            "driver": "dicom_store",
            "settings": {"port": dicom, "calling_ae_titles": ["SCANNER"]},
        },
        {"id": "scanner-http", "driver": "http_push", "settings": {"port": http, "token_file": "token"}},
    ]


async def departed(simulator: Program, trucks: int) -> None:
    for _ in range(trucks):
        assert await simulator.line(120) is not None


@pytest.mark.alone
@pytest.mark.proof
@pytest.mark.timeout(400)
async def test_every_device_of_a_lane_is_heard(tmp_path: Path) -> None:
    dicom, http = free_port(), free_port()
    site = Site(tmp_path)
    await site.trust("booth", "office")
    out = tmp_path / "sim"
    simulating = program(
        "simulator", site.log("simulator"), "hardware_sim", "run", str(scenario(tmp_path, dicom, http)),
        "--json", "--hold", "--out", str(out),
    )  # fmt: skip
    async with site.gateway(), simulating as simulator:
        ready = await simulator.ready()
        at = {name: entry["url"] for name, entry in ready["devices"].items()}
        config = site.booth(
            0,
            devices=devices(tmp_path, at, dicom, http),
            expects=["seal", "radiation", "tag", "weight", "scan"],
            settle_s=3.0,
            scan_delay_s=5.0,
        )
        async with site.agent(config):
            await site.received_when(lambda rs: len(online(rs)) >= 8)
            await simulator.say("\n")
            await departed(simulator, len(TRUCKS))
            records = await site.received_when(
                lambda rs: len(inspections(rs)) >= len(TRUCKS) and len(scans(rs)) >= 3 * len(TRUCKS)
            )
            assert await simulator.wait(60) == 0
    events = tmp_path / "events.jsonl"
    events.write_text("".join(json.dumps(record) + "\n" for record in records))
    status, printed = await finished(
        "score", site.log("score"), "hardware_sim", "score", str(out / "truth.jsonl"), str(events), "--json"
    )
    assert status == 0, site.log("score").read_text()
    figures = json.loads(printed)["figures"]
    wanted = ("seal", "seal_state", "tag", "scan", "weight", "gamma_verdict", "neutron_verdict", "vehicles")
    assert {name: figures[name] for name in wanted} == dict.fromkeys(wanted, 1.0), printed
    assert figures["alarms_missed"] == figures["alarms_false"] == figures["spurious"] == 0
    seen = inspections(records)
    assert len(seen) == len(TRUCKS)
    for inspection in seen:
        assert inspection["direction"] == "DIRECTION_FORWARD"
        assert len(inspection["weights"]) == 4
        assert len(inspection["spectra"]) == 1
        assert len(inspection["radiation"]) == 2
    assert any(state["condition"] == "broken" for state in seen[1]["seal_states"])
    assert "Cs-137" in {n["name"] for n in seen[1]["spectra"][0]["nuclides"]}
    assert all(scan["inspection_id"] for scan in scans(records))


def online(records: list[dict[str, Any]]) -> set[str]:
    changes = [r["event"]["device_changed"] for r in records if "device_changed" in r["event"]]
    return {c["device_id"] for c in changes if c.get("status", {}).get("state") == "DEVICE_STATE_ONLINE"}


def scans(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [r["event"]["scan_received"] for r in records if "scan_received" in r["event"]]

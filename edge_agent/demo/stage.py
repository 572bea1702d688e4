"""Runs the demo: makes identities, starts the three programs, sends the trucks, and judges what arrived."""

import asyncio
import hashlib
import json
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from shutil import which
from typing import Any

import yaml

from edge_agent.demo.compare import Vehicle, belongs, by_kind, compare, findings, inspection_of, pieces, with_finding
from edge_agent.demo.next_steps import next_steps
from edge_agent.demo.processes import DemoFailed, Program, finished, program
from edge_agent.domain.clock import Clock
from edge_agent.domain.counted import counted
from edge_agent.wire.identity import Role, SpiffeId, create_identity

PORT = "uslrd"
FLOOR = 0.8
# From a truck's departure to its record at the back-office: settling, reading what is still queued, sending.
ARRIVE_S = 30.0
CONNECT_S = 60.0
EVIDENCE_S = 30.0
Say = Callable[[str], None]

_OPENING = """A port in small: a simulator plays the trucks and the devices of one lane; the booth's agent, the
port's gateway and a back-office are the real programs. Of each truck you see the truth, as the
simulator knows it, beside what the back-office received and verified itself. Whole pictures (frames)
leave the booth with a finding alone, as its settings say; the digest of each is in the record.
"""
_CARGO = {
    "none": "ordinary cargo",
    "norm": "cargo that is radioactive by nature",
    "source": "A RADIOACTIVE SOURCE in the cargo",
}
# A camera of plates looks at the tractor's, one of the rear at the doors; one of the side at neither end.
_SEES = {"plate": {"sees": "front"}, "rear": {"sees": "rear"}}


async def demo(folder: Path, scenario: str, clock: Clock, say: Say) -> int:
    """Run the whole line once below `folder`; the exit status: 0 only if everything is as it must be."""
    run = _new_folder(folder, clock)
    say(_OPENING)
    say(f"This run is kept in {run}\n")
    async with AsyncExitStack() as stack:
        stage = _Stage(run, scenario, clock, say)
        await stage.start(stack)
        vehicles = await stage.play()
        return await stage.judge(vehicles)


def _new_folder(folder: Path, clock: Clock) -> Path:
    run = folder.resolve() / clock.now().utc.strftime("%Y-%m-%dT%H%M%SZ")
    try:
        (run / "logs").mkdir(parents=True)
    except OSError as error:
        raise DemoFailed(f"{run} cannot be made: {error.strerror}", "choose another folder with --out") from None
    return run


class _Stage:
    def __init__(self, run: Path, scenario: str, clock: Clock, say: Say) -> None:
        self._run, self._scenario, self._clock, self._say = run, scenario, clock, say
        self._records: list[dict[str, Any]] = []
        self._online: set[str] = set()
        self._news = asyncio.Event()
        self._tail_failed: DemoFailed | None = None

    def _log(self, name: str) -> Path:
        return self._run / "logs" / f"{name}.log"

    # --- before the first truck -------------------------------------------------------------------------------

    async def start(self, stack: AsyncExitStack) -> None:
        """Identities, gateway, simulator, agent and a back-office that listens; returns when all devices speak."""
        keys, now = self._run / "keys", self._clock.now().utc
        _, booth = create_identity(keys, "booth", SpiffeId(PORT, Role.BOOTH, "lane-1"), now)
        create_identity(keys, "gateway", SpiffeId(PORT, Role.GATEWAY, "main"), now, ("localhost", "127.0.0.1"))
        _, office = create_identity(keys, "back-office", SpiffeId(PORT, Role.BACK_OFFICE, "customs"), now)
        self._gateway_config = self._write("gateway.yaml", _gateway("127.0.0.1:0"))
        status, _ = await finished(
            "trust",
            self._log("trust"),
            "port_gateway",
            "trust",
            "add",
            str(self._gateway_config),
            str(booth),
            str(office),
        )
        if status:
            raise DemoFailed("the certificates could not be registered", f"see {self._log('trust')}")
        gateway = await stack.enter_async_context(
            program(
                "the port gateway", self._log("gateway"), "port_gateway", "serve", str(self._gateway_config), "--json"
            )
        )
        self._address = address = (await gateway.ready())["address"]
        self._write("gateway.yaml", _gateway(address))  # where it listens again, once the demo is over
        simulator_folder = str(self._run / "simulator")
        self._simulator = await stack.enter_async_context(
            program(
                *("the simulator", self._log("simulator"), "hardware_sim"),
                *("run", self._scenario, "--json", "--hold", "--out", simulator_folder),
            )
        )
        ready = await self._simulator.ready()
        self._truth = Path(ready["truth"])
        booth_config = self._write("booth.yaml", _booth(ready["devices"], address))
        self._agent = await stack.enter_async_context(
            program("the agent", self._log("agent"), "edge_agent", "run", str(booth_config))
        )
        self._connection = (
            *("--gateway", address, "--gateway-certificate", str(keys / "gateway.crt")),
            *("--key", str(keys / "back-office.key"), "--certificate", str(keys / "back-office.crt")),
        )
        tail = await stack.enter_async_context(
            program(
                *("the back-office", self._log("back-office"), "port_gateway", "tail", "--json", "--follow"),
                *("--from", "0", *self._connection),
            )
        )
        self._received = stack.enter_context((self._run / "received.jsonl").open("w"))
        watching = asyncio.ensure_future(self._watch(tail))
        stack.callback(watching.cancel)
        self._say(f"port gateway      {address}, mutual TLS")
        for name, device in ready["devices"].items():
            self._say(f"{name:<17} {device['kind']}, simulated at {device['url']}")
        await self._until(lambda: self._online >= set(ready["devices"]), CONNECT_S, self._waiting_for(ready["devices"]))
        self._say("every device is connected; the trucks may come\n")

    def _waiting_for(self, devices: dict[str, Any]) -> Callable[[], str]:
        return lambda: f"not connected: {', '.join(sorted(set(devices) - self._online))}; see {self._log('agent')}"

    def _write(self, name: str, settings: dict[str, Any]) -> Path:
        path = self._run / name
        path.write_text(yaml.safe_dump(settings, sort_keys=False))
        return path

    async def _watch(self, tail: Program) -> None:
        """What the back-office prints, which it prints only after it has verified signature and chain itself."""
        try:
            while (record := await tail.line(timeout_s=600)) is not None:
                if record.get("verified") is not True:
                    raise tail.failed(f"printed an event that is not verified: {record}")
                changed = record["event"].get("device_changed", {})
                if changed.get("status", {}).get("state") in ("DEVICE_STATE_ONLINE", "DEVICE_STATE_WAITING"):
                    self._online.add(changed["device_id"])
                self._records.append(record)
                self._received.write(json.dumps(record) + "\n")
                self._received.flush()
                self._news.set()
            raise tail.failed("ended")
        except DemoFailed as failure:
            self._tail_failed = failure
            self._news.set()

    async def _until(self, done: Callable[[], bool], timeout_s: float, otherwise: Callable[[], str]) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not done():
                    if self._tail_failed is not None:
                        raise self._tail_failed
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise DemoFailed(otherwise(), f"see the logs in {self._run / 'logs'}") from None

    # --- the trucks ---------------------------------------------------------------------------------------------

    async def play(self) -> list[Vehicle]:
        """Let the trucks come; each is shown as its record arrives."""
        await self._simulator.say("go")
        vehicles: list[Vehicle] = []
        while (truth := await self._simulator.line()) is not None:
            if "plate" in truth:
                vehicle = await self._meet(truth)
                vehicles.append(vehicle)
                self._show(vehicle)
        if await self._simulator.wait(ARRIVE_S):
            raise self._simulator.failed("ended with an error")
        return vehicles

    async def _meet(self, truth: dict[str, Any]) -> Vehicle:
        def found() -> list[dict[str, Any]]:
            return [record for record in self._records if belongs(record, truth)]

        try:
            await self._until(lambda: bool(found()), ARRIVE_S, lambda: "")
        except DemoFailed:
            if self._tail_failed is not None:
                raise
            return Vehicle(truth)
        return compare(truth, found()[0])

    def _show(self, vehicle: Vehicle) -> None:
        truth, record = vehicle.truth, vehicle.record
        source = truth["radiation"]["source"]
        self._say(f"vehicle {truth['index']}, by {'night' if truth['night'] else 'day'}, {_CARGO.get(source, source)}")
        if record is None:
            self._say("  ✗ no inspection arrived at the back-office\n")
            return
        for line in vehicle.lines:
            sign = "✓" if line.right else "✗"
            note = "" if line.right else f"   <- {line.wrong}"
            self._say(f"  {sign} {line.what:<12} truth {line.truth:<14} received {line.received}{note}")
        self._say(f"  ✓ signature and chain verified: event {record['seq']}, SHA-256 {record['sha256'][:16]}…")
        inspection = inspection_of(record) or {}
        advice = inspection.get("recommendation", "").removeprefix("RECOMMENDATION_").lower()
        said = " ".join(str(one.get("sentence")) for one in findings(record)) or "nothing was found"
        self._say(f"    the rules recommend: {advice or 'nothing'} ({said})")
        sent, stays = pieces(record, with_finding(self._records, inspection))
        kept = f"; {by_kind(stays)} kept at the booth, where nothing was found" if stays else ""
        self._say(f"    evidence: {by_kind(sent)}{kept}\n")

    # --- the verdict --------------------------------------------------------------------------------------------

    async def judge(self, vehicles: list[Vehicle]) -> int:
        """Evidence, the gateway's own verification, the agent's end; the exit status."""
        evidence = await self._evidence()
        agent_status = await self._agent.stop()
        verify_status, verified = await finished(
            "verify", self._log("verify"), "port_gateway", "verify", str(self._gateway_config)
        )
        inspections = [r for r in self._records if inspection_of(r) is not None]
        right = sum(vehicle.wholly_right for vehicle in vehicles)
        faults = [f"vehicle {v.truth['index']} differs in more than characters" for v in vehicles if v.mismatched]
        if len(inspections) != len(vehicles):
            faults.append(f"{counted(len(vehicles), 'vehicle')}, but {counted(len(inspections), 'inspection')}")
        if not vehicles or right < FLOOR * len(vehicles):
            busy = "characters are read in time on an idle computer only: end what else runs, and try again"
            faults.append(
                f"{right} of {counted(len(vehicles), 'vehicle')} wholly right, the floor is {FLOOR:.0%}; {busy}"
            )
        faults += evidence
        if agent_status:
            faults.append(f"the agent ended with status {agent_status}; see {self._log('agent')}")
        if verify_status:
            faults.append(f"port-gateway verify failed; see {self._log('verify')}")
        misread = sum(vehicle.misread for vehicle in vehicles)
        self._say("The port looks through all that it holds (port-gateway verify):")
        self._say("".join(f"  {line}\n" for line in verified.strip().splitlines()))
        of = counted(len(vehicles), "vehicle")
        self._say(f"{right} of {of} wholly right; {misread} with characters misread or not read\n")
        self._say(f"truth      {self._truth}")
        self._say(f"events     {self._run / 'gateway'}   (port-gateway verify {self._gateway_config})")
        self._say(f"received   {self._run / 'received.jsonl'}   (what the back-office printed, a line an event)")
        self._say(f"evidence   {self._run / 'evidence'}   (what the back-office fetched, by vehicle)")
        for fault in faults:
            self._say(f"✗ {fault}")
        if faults:
            return 1
        self._say("\nEverything is as it must be.\n")
        programs = Path(sys.executable).parent
        found = which("edge-agent")
        shown = max(inspections, key=lambda r: len(findings(r)))  # of the vehicle of which there is most to see
        inspection = inspection_of(shown) or {}
        on_path = found is not None and Path(found).parent == programs
        for line in next_steps(self._run, programs, on_path, self._address, inspection["id"]):
            self._say(line)
        return 0

    async def _evidence(self) -> list[str]:
        """What a vehicle's standing lets leave the booth must have arrived with its digest, is kept under names that a
        person can follow, and is shown; nothing else may be at the port.
        """
        faults: list[str] = []
        kept: list[str] = []
        self._say("The back-office fetches the evidence, and checks each piece against the digest in its signed event:")
        for number, record in enumerate((r for r in self._records if inspection_of(r) is not None), start=1):
            found = with_finding(self._records, inspection_of(record) or {})
            sent, stay = pieces(record, found)
            folder = self._run / "evidence" / f"vehicle-{number:02}"
            fetched = await self._fetch([piece["sha256"] for piece in sent], folder, EVIDENCE_S)
            whole = [piece for piece in sent if self._keep(piece, fetched, folder, number, faults)]
            kept += [piece["sha256"] for piece in stay]
            sign, what = "✓" if len(whole) == len(sent) else "✗", "with a finding" if found else "clear"
            self._say(f"  {sign} vehicle {number}, {what}: {len(whole)} of {len(sent)} whole: {by_kind(whole)}")
        left = await self._fetch(kept, self._run / "evidence", 0.0)
        faults += [f"the picture {digest[:16]}… of a clear vehicle left the booth" for digest in left]
        sign, stayed = "✗" if left else "✓", counted(len(kept), "picture")
        self._say(f"  {sign} {stayed} kept at the booth, of which {len(left) or 'none'} can be fetched\n")
        return faults

    def _keep(
        self, piece: dict[str, Any], fetched: dict[str, Path], folder: Path, number: int, faults: list[str]
    ) -> bool:
        digest, path = piece["sha256"], folder / _file_name(piece)
        if digest not in fetched:
            faults.append(f"evidence {piece['kind']} {digest[:16]}… of vehicle {number} did not arrive")
            return False
        fetched[digest].rename(path)
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            faults.append(f"{path} has another digest than its event says")
            return False
        return True

    async def _fetch(self, digests: list[str], folder: Path, within_s: float) -> dict[str, Path]:
        """As a back-office does; asks again while evidence, which never delays events, is still under way."""
        deadline = self._clock.monotonic() + within_s
        while digests:
            status, printed = await finished(
                "fetch",
                self._log("fetch"),
                "port_gateway",
                *("fetch", *digests, "--json", "--out", str(folder), *self._connection),
            )
            answers = [json.loads(line) for line in printed.splitlines()]
            if status == 0 or self._clock.monotonic() > deadline:
                return {answer["sha256"]: Path(answer["path"]) for answer in answers if answer["path"]}
            await asyncio.sleep(0.5)
        return {}


def _file_name(piece: dict[str, Any]) -> str:
    return f"{piece['kind']}-{piece['sha256'][:8]}{_suffix(piece['media_type'])}"


def _suffix(media_type: str) -> str:
    return {"image/jpeg": ".jpg", "text/csv": ".csv", "application/x-ndjson": ".jsonl"}.get(media_type, "")


def _gateway(listen: str) -> dict[str, Any]:
    """The gateway's settings file."""
    identity = {"key": "keys/gateway.key", "certificate": "keys/gateway.crt"}
    return {"identity": identity, "listen": listen, "data": "gateway"}


def _booth(devices: dict[str, Any], gateway: str) -> dict[str, Any]:
    """The booth's settings file for what the simulator offers."""
    lane: dict[str, Any] = {
        "id": "1",
        "expects": ["plate", "container_code", "seal", "radiation"],
        "settle_s": 1.5,
        "devices": [],
        "cameras": [],
    }
    for name, device in devices.items():
        if "view" in device:
            # A rear camera is looked at for the code on the doors: a trailer's plate is not the vehicle's.
            role = "container" if device["view"] == "rear" else device["view"]
            camera = {"id": name, "source": device["url"], "role": role}
            lane["cameras"].append(camera | _SEES.get(device["view"], {}))
        else:
            lane["devices"].append({"id": name, "driver": device["kind"], "link": {"url": device["url"]}})
    return {
        "identity": {"key": "keys/booth.key", "certificate": "keys/booth.crt"},
        "ledger": {"directory": "ledger"},
        "uplink": {"gateway": gateway, "gateway_certificate": "keys/gateway.crt"},
        "lanes": [lane],
    }

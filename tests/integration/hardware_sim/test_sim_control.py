"""The control API as programs meet it: every answer fits its own description; and `hardware-sim ctl`."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.cli import main
from hardware_sim.control import Control
from hardware_sim.run import PortSim
from tests.integration.hardware_sim.sim import lane, running, until

TOKEN = "0123456789abcdef-secret"


class Api:
    """A client that holds every answer against /openapi.json."""

    def __init__(
        self, control: Control, sim: PortSim, session: aiohttp.ClientSession, document: dict[str, Any]
    ) -> None:
        self.control, self.sim, self.session, self.document = control, sim, session, document
        self.stopped = asyncio.Event()

    def validate(self, schema: dict[str, Any], value: Any) -> None:
        Draft202012Validator(schema | {"components": self.document["components"]}).validate(value)

    async def ask(self, method: str, template: str, status: int, body: Any = None, **path: object) -> Any:
        operation = self.document["paths"][template][method]
        if body is not None and status < 300:
            self.validate(operation["requestBody"]["content"]["application/json"]["schema"], body)
        url = self.control.url + template.format(**path)
        async with self.session.request(method, url, json=body) as response:
            assert response.status == status, await response.text()
            answer = await response.json()
        self.validate(operation["responses"][str(status)]["content"]["application/json"]["schema"], answer)
        return answer


@asynccontextmanager
async def served(out: Path, more: str = "") -> AsyncIterator[Api]:
    async with running(lane(more), out, speed=4.0) as sim:
        stopped = asyncio.Event()
        control = Control(sim, stopped.set)
        await control.open()
        try:
            async with aiohttp.ClientSession() as session:
                async with session.get(control.url + "/openapi.json") as response:
                    api = Api(control, sim, session, await response.json())
                api.stopped = stopped
                yield api
        finally:
            await control.close()


async def test_a_whole_session_fits_the_description(tmp_path: Path) -> None:
    more = "faults: [{target: portal, kind: drop, at: 3600}]\n"
    async with served(tmp_path, more) as api:
        state = await api.ask("get", "/state", 200)
        assert state["lanes"][0] | {"inside": []} == {
            "id": "1", "traffic": "running", "on_demand": True, "known": 0, "inside": [], "departed": 0
        }  # fmt: skip
        places = await api.ask("get", "/places", 200)
        assert set(places) == {"portal", "seal-scanner", "scale"}
        stated = {"plate": {"text": "MXR 7319", "region": "US-AZ"}, "seal": None, "cargo": {"kind": "source"}}
        sent = await api.ask("post", "/lanes/{lane}/trucks", 201, stated, lane="1")
        assert sent == {"id": "1-0001"}
        fault = await api.ask("post", "/faults", 201, {"target": "portal", "kind": "silence", "for_s": 60})
        assert (fault["state"], fault["by"], fault["ended"]) == ("active", "command", None)
        assert len(await api.ask("get", "/faults", 200)) == 2
        assert (await api.ask("get", "/faults/{id}", 200, id=fault["id"]))["kind"] == "silence"
        assert (await api.ask("delete", "/faults/{id}", 200, id=fault["id"]))["state"] == "over"
        await until(lambda: api.sim.lanes["1"].player.lane.passages != [])
        assert (await api.ask("post", "/traffic", 200, {"do": "pause"}))["lanes"][0]["traffic"] == "paused"
        assert (await api.ask("post", "/traffic", 200, {"do": "start", "lane": "1"}))["lanes"][0][
            "traffic"
        ] == "running"
        assert (await api.ask("put", "/speed", 200, {"speed": 20}))["speed"] == 20
        await until(lambda: api.sim.truth_path.read_text() != "")
        truth = json.loads(api.sim.truth_path.read_text())
        assert (truth["plate"], truth["seal"], truth["radiation"]["source"]) == ("MXR7319", None, "source")
        assert (await api.ask("get", "/lanes", 200))[0]["departed"] == 1
        assert await api.ask("post", "/stop", 202) == {"stopping": True}
        await asyncio.wait_for(api.stopped.wait(), 30)


@pytest.mark.parametrize(
    ("method", "path", "status", "body", "words"),
    [
        ("post", "/lanes/9/trucks", 404, {}, "there is no lane 9; there are 1"),
        ("post", "/lanes/1/trucks", 422, {"gross_kg": 1, "colour": "red"}, "gross_kg"),
        ("post", "/lanes/1/trucks", 422, {"container_code": "MSKU5436924"}, "check digit"),
        ("post", "/lanes/1/trucks", 422, [1], "the body"),
        ("post", "/faults", 409, {"target": "nobody", "kind": "silence"}, "there is no nobody"),
        ("post", "/faults", 409, {"target": "portal", "kind": "stuck_motion"}, "cannot happen to portal"),
        ("post", "/faults", 422, {"target": "portal", "kind": "explode"}, "explode"),
        ("delete", "/faults/77", 404, None, "there is no fault 77"),
        ("get", "/faults/x", 404, None, "there is no fault x"),
        ("post", "/traffic", 422, {"do": "dance"}, "do"),
        ("post", "/traffic", 404, {"do": "pause", "lane": "7"}, "there is no lane 7"),
        ("put", "/speed", 422, {"speed": 0}, "speed"),
        ("get", "/nothing", 404, None, "Not Found"),
    ],
)
async def test_what_cannot_be_is_said_in_words(
    tmp_path: Path, method: str, path: str, status: int, body: Any, words: str
) -> None:
    async with served(tmp_path) as api, api.session.request(method, api.control.url + path, json=body) as response:
        answer = await response.json()
        assert response.status == status
        assert words in json.dumps(answer)
        assert set(answer) == {"problem", "mistakes"}


async def test_bodies_that_are_none(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        url = api.control.url + "/faults"
        async with api.session.post(url, data="{", headers={"Content-Type": "application/json"}) as response:
            assert response.status == 400
        async with api.session.post(url, data='{"target": "portal", "kind": "silence"}') as response:
            assert response.status == 415  # a form of a page in a browser
        async with api.session.post(url, data=b"[" * 300_000, headers={"Content-Type": "application/json"}) as response:
            assert response.status == 413
        async with api.session.get(api.control.url + "/state", headers={"Host": "evil.example"}) as response:
            assert response.status == 403
        assert api.sim.faults.faults.all == []


async def test_the_truth_so_far_and_then_as_it_comes(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        api.sim.send("1")
        await until(lambda: api.sim.truth_path.read_text() != "")
        async with api.session.get(api.control.url + "/truth?follow=true") as lines:
            assert json.loads(await asyncio.wait_for(lines.content.readline(), 30))["id"] == "1-0001"
            async with api.session.get(api.control.url + "/events") as events:
                assert await asyncio.wait_for(events.content.readline(), 30) == b": events follow\n"
                api.sim.send("1")
                await api.ask("post", "/faults", 201, {"target": "scale", "kind": "stuck_motion"})
                assert json.loads(await asyncio.wait_for(lines.content.readline(), 30))["id"] == "1-0002"
                heard: dict[str, Any] = {}
                while set(heard) != {"fault", "truth"}:
                    line = (await asyncio.wait_for(events.content.readline(), 30)).decode().strip()
                    if line.startswith("event: "):
                        data = (await asyncio.wait_for(events.content.readline(), 30)).decode()
                        heard[line.removeprefix("event: ")] = json.loads(data.removeprefix("data: "))
                assert heard["fault"]["kind"] == "stuck_motion"
                assert heard["truth"]["id"] == "1-0002"
        async with api.session.get(api.control.url + "/truth") as lines:
            assert [json.loads(line)["id"] async for line in lines.content] == ["1-0001", "1-0002"]


async def test_beyond_the_loopback_a_token_is_needed(tmp_path: Path) -> None:
    async with running(lane(), tmp_path) as sim:
        with pytest.raises(SettingsInvalid, match="there is no token"):
            Control(sim, lambda: None, "0.0.0.0:0")
        with pytest.raises(SettingsInvalid, match="too short"):
            Control(sim, lambda: None, "0.0.0.0:0", "short")
        with pytest.raises(SettingsInvalid, match="is not host:port"):
            Control(sim, lambda: None, "8600")
        control = Control(sim, lambda: None, "0.0.0.0:0", TOKEN)
        await control.open()
        try:
            url = control.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
            async with aiohttp.ClientSession() as session:
                for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": TOKEN[:-1]}):
                    async with session.get(url + "/state", headers=headers) as response:
                        assert response.status == 401
                async with session.get(url + "/state", headers={"Authorization": f"Bearer {TOKEN}"}) as response:
                    assert response.status == 200
                async with session.get(url + "/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}) as response:
                    assert (await response.json())["security"] == [{"token": []}]
        finally:
            await control.close()


def test_every_operation_of_the_description_is_answered() -> None:
    from hardware_sim.control_api import OPERATIONS, openapi

    document = openapi(with_token=False)
    assert document["openapi"] == "3.1.0"
    described = {(m, p) for p, methods in document["paths"].items() for m in methods}
    assert described == {(o.method, o.path) for o in OPERATIONS}
    references = set(_references(document))
    assert references
    for reference in references:
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [r for v in value.values() for r in _references(v)]
    return [r for v in value for r in _references(v)] if isinstance(value, list) else []


async def test_ctl_drives_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def _hardware_sim(*arguments: str) -> tuple[int, str, str]:
        status = await asyncio.to_thread(main, list(arguments))
        return status, *capsys.readouterr()

    out = tmp_path / "out"
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hardware_sim", "run", "on-demand", "--out", str(out), "--json", "--control"),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert run.stdout is not None
        ready = json.loads(await asyncio.wait_for(run.stdout.readline(), 60))
        assert ready["control"] == json.loads((out / "control.json").read_text())["url"]
        ctl = ("ctl", "--out", str(out))
        stated = ("lane=1", "plate=MXR 7319@US-AZ", "cargo=source", "seal=none")
        assert (await _hardware_sim(*ctl, "truck", *stated))[:2] == (0, "1-0001\n")
        status, said, _ = await _hardware_sim(*ctl, "fault", "portal", "garble", "--for", "60", "share=0.5")
        assert status == 0
        assert "garble" in said
        assert "for 60 s" in said
        assert "share=0.5" in said
        status, _, wrong = await _hardware_sim(*ctl, "fault", "portal", "explode")
        assert status == 2
        assert "explode" in wrong
        status, said, _ = await _hardware_sim(*ctl, "--json", "end")
        assert [f["state"] for f in json.loads(said)] == ["over"]
        truth = json.loads(await asyncio.wait_for(run.stdout.readline(), 60))
        assert (truth["plate"], truth["radiation"]["source"]) == ("MXR7319", "source")
        assert "1 of 1 truck has left" in (await _hardware_sim(*ctl, "state"))[1]
        assert (await _hardware_sim(*ctl, "stop"))[0] == 0
        assert await asyncio.wait_for(run.wait(), 60) == 0
        status, _, wrong = await _hardware_sim(*ctl, "state")
        assert status == 2
        assert "no run can be driven there" in wrong
    finally:
        if run.returncode is None:
            run.kill()
        await run.communicate()

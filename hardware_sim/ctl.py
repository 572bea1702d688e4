"""`hardware-sim ctl`: drives a run that was started with --control, from another terminal."""

import argparse
import http.client
import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import yaml

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import EdgeAgentError, SettingsInvalid
from hardware_sim.stated import written_out

# As in control.py, which needs the extra [sim]; the client does not.
CONTROL_FILE = "control.json"
TOKEN_VARIABLE = "HARDWARE_SIM_TOKEN"  # noqa: S105 - the variable's name
_TIMEOUT_S = 30.0


class ControlRefused(EdgeAgentError):
    """The run said no, or nobody answers."""


class Client:
    """The control API of one run."""

    def __init__(self, url: str, token: str = "") -> None:
        """Raises SettingsInvalid for what is no http:// address, and for a token that no header can carry."""
        if not _is_address(url):
            raise SettingsInvalid(f"{url}: no address of a run", "write for instance http://127.0.0.1:8600")
        token = token.strip()
        if not (token.isascii() and token.isprintable()):
            raise SettingsInvalid(
                f"{TOKEN_VARIABLE} is no token: other characters than printable ASCII stand in it",
                "give it the one that the run was started with",
            )
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    @classmethod
    def of_run(cls, out: Path) -> "Client":
        """The client of the run whose folder is `out`. Raises ControlRefused if none is running there."""
        try:
            url = json.loads((out / CONTROL_FILE).read_text())["url"]
        except (OSError, ValueError, KeyError, TypeError):
            raise ControlRefused(
                f"{out / CONTROL_FILE}: no run can be driven there",
                "start one with `hardware-sim run … --control`, and name its folder with --out",
            ) from None
        return cls(url, os.environ.get(TOKEN_VARIABLE, ""))

    def ask(self, method: str, path: str, body: object = None, timeout_s: float = _TIMEOUT_S) -> Any:
        """The answer to one request, as JSON values. Raises ControlRefused."""
        with self._open(method, path, body, timeout_s) as response, self._understood():
            return json.loads(response.read())

    def lines(self, path: str, timeout_s: float | None = None) -> Iterator[str]:
        """A stream's lines, until it ends. Raises ControlRefused."""
        with self._open("GET", path, None, timeout_s) as response, self._understood():
            for line in response:
                yield line.decode().rstrip("\r\n")

    def send(self, lane: str, stated: dict[str, Any]) -> str:
        """Send a truck; its id."""
        return str(self.ask("POST", f"/lanes/{quote(lane, safe='')}/trucks", stated)["id"])

    def _open(self, method: str, path: str, body: object, timeout_s: float | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers | ({"Content-Type": "application/json"} if data is not None else {})
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - http
        try:
            return urllib.request.urlopen(request, timeout=timeout_s)  # noqa: S310
        except urllib.error.HTTPError as error:
            with error:
                raise ControlRefused(_said(error.read()) or f"{method} {path}: {error.code} {error.reason}") from None
        except http.client.HTTPException:
            raise self.no_run() from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise ControlRefused(
                f"{self.url} does not answer: {getattr(reason, 'strerror', None) or reason}",
                "is the run still going on, and is this the address that it said?",
            ) from None

    @contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, http.client.HTTPException):
            raise self.no_run() from None

    def no_run(self) -> ControlRefused:
        """The error for an answer that is not a run's."""
        return ControlRefused(
            f"{self.url} answers, but is no control API of a run",
            f"use the address that `hardware-sim run … --control` said; {CONTROL_FILE} in its folder has it",
        )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and url.isascii()
            and not re.search(r"\s", url)
        )
    except ValueError:  # the port is none
        return False


def _said(answer: bytes) -> str:
    try:
        problem = json.loads(answer)
        return "\n".join([problem["problem"], *(f"  {m}" for m in problem["mistakes"])])
    except (ValueError, KeyError, TypeError):
        return ""


def truck_of(pairs: Iterable[str]) -> dict[str, Any]:
    """`plate=ABC1234@US-TX seal=none cargo=source cargo.gamma_cps=1100` as the body of a truck; `none` is null.

    Raises SettingsInvalid for what is no pair.
    """
    stated: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise SettingsInvalid(f"{pair}: not NAME=VALUE", "write for instance plate=MXR7319@US-AZ seal=none")
        value: Any = None if text.lower() in ("none", "null") else text
        if text.startswith(("[", "{")):
            value = _yaml(pair, text)
        inside = stated
        *outer, last = name.split(".")
        for part in outer:
            kind = inside.get(part)
            inside[part] = {"kind": kind} if part == "cargo" and isinstance(kind, str) else inside.get(part, {})
            inside = inside[part]
            if not isinstance(inside, dict):
                raise SettingsInvalid(f"{pair}: {part} has no parts", "state it once")
        if isinstance(value, dict) and isinstance(inside.get(last), dict):
            inside[last] |= value
        else:
            inside[last] = value
    return written_out(stated)


def _yaml(pair: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise SettingsInvalid(f"{pair}: cannot be read", "write numbers, words, [lists] or {maps: like this}") from None


def add_ctl(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command's arguments."""
    ctl = commands.add_parser(
        "ctl",
        help="drive a run that was started with --control",
        description="Drives a run that was started with --control: sends trucks, begins and ends faults, starts and "
        f"pauses traffic. With a token (--control elsewhere than on this machine) set {TOKEN_VARIABLE}.",
    )
    ctl.add_argument("--out", type=Path, default=Path("sim-run"), metavar="DIR", help="the run's folder")
    ctl.add_argument("--url", help="the run's address, in the place of --out")
    ctl.add_argument("--json", action="store_true", help="answers as JSON")
    doings = ctl.add_subparsers(dest="doing", required=True, metavar="WHAT")
    doings.add_parser("state", help="the run and its lanes")
    doings.add_parser("places", help="where every device is reached")
    truck = doings.add_parser("truck", help="send a truck, e.g. `truck lane=1 plate=MXR7319@US-AZ seal=none`")
    truck.add_argument("stated", nargs="*", metavar="NAME=VALUE")
    fault = doings.add_parser("fault", help="begin a fault, e.g. `fault portal silence --for 20`")
    fault.add_argument("target")
    fault.add_argument("kind")
    fault.add_argument("--for", dest="for_s", type=float, metavar="SECONDS", help="else until `end`, or the kind's own")
    fault.add_argument("parameters", nargs="*", metavar="NAME=VALUE")
    doings.add_parser("faults", help="every fault of the run")
    end = doings.add_parser("end", help="end a fault by its id, or all that are active")
    end.add_argument("id", nargs="?", type=int)
    for doing in ("start", "pause"):
        traffic = doings.add_parser(doing, help=f"{doing} traffic")
        traffic.add_argument("lane", nargs="?")
    speed = doings.add_parser("speed", help="change the speed of time")
    speed.add_argument("speed", type=float)
    doings.add_parser("follow", help="each truck's truth, those so far and then as they leave")
    doings.add_parser("stop", help="end the run")


def run_ctl(arguments: argparse.Namespace) -> int:
    """One command. Raises EdgeAgentError in words when the run says no."""
    token = os.environ.get(TOKEN_VARIABLE, "")
    client = Client(arguments.url, token) if arguments.url else Client.of_run(arguments.out)
    if arguments.doing == "follow":
        for line in client.lines("/truth?follow=true"):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        return 0
    try:
        answer = _do(client, arguments)
        said = json.dumps(answer) if arguments.json else "\n".join(_in_words(arguments.doing, answer))
    except (KeyError, IndexError, TypeError, AttributeError):  # JSON, but not that of a run
        raise client.no_run() from None
    sys.stdout.write(said + "\n")
    return 0


def _do(client: Client, arguments: argparse.Namespace) -> Any:
    match arguments.doing:
        case "state" | "places" | "faults":
            return client.ask("GET", f"/{arguments.doing}")
        case "truck":
            stated = truck_of(arguments.stated)
            lane = stated.pop("lane", None) or client.ask("GET", "/lanes")[0]["id"]
            return {"id": client.send(lane, stated)}
        case "fault":
            pairs = [pair.partition("=") for pair in arguments.parameters]
            fault = {name: _yaml(name, text) for name, _, text in pairs}
            fault |= {"target": arguments.target, "kind": arguments.kind}
            return client.ask(
                "POST", "/faults", fault | ({} if arguments.for_s is None else {"for_s": arguments.for_s})
            )
        case "end":
            if arguments.id is not None:
                return [client.ask("DELETE", f"/faults/{arguments.id}")]
            active = [f["id"] for f in client.ask("GET", "/faults") if f["state"] == "active"]
            return [client.ask("DELETE", f"/faults/{number}") for number in active]
        case "start" | "pause":
            lane = {"lane": arguments.lane} if arguments.lane else {}
            return client.ask("POST", "/traffic", {"do": arguments.doing} | lane)
        case "speed":
            return client.ask("PUT", "/speed", {"speed": arguments.speed})
        case _:
            return client.ask("POST", "/stop")


def _in_words(doing: str, answer: Any) -> Iterator[str]:
    match doing:
        case "truck":
            yield answer["id"]
        case "places":
            for name, place in answer.items():
                yield f"{name:18} {place['kind']:18} {'  '.join(place['urls'])}"
        case "faults" | "end":
            for fault in answer:
                yield _fault_line(fault)
            if not answer:
                yield "no fault"
        case "fault":
            yield _fault_line(answer)
        case "stop":
            yield "the run ends"
        case _:
            yield f"{answer['title']}  (seed {answer['seed']}, speed {answer['speed']:g})"
            for lane in answer["lanes"]:
                inside = ", ".join(lane["inside"]) or "nobody"
                of = f"{counted(lane['known'], 'truck')} {'has' if lane['known'] == 1 else 'have'}"
                yield f"lane {lane['id']:6} {lane['traffic']:8} {lane['departed']} of {of} left, inside: {inside}"
            if answer["active_faults"]:
                yield f"{counted(answer['active_faults'], 'active fault')}: `ctl faults`"


def _fault_line(fault: dict[str, Any]) -> str:
    parameters = " ".join(f"{n}={v}" for n, v in fault["parameters"].items())
    lasts = f"for {fault['for_s']:g} s" if fault["for_s"] is not None else "until ended"
    return (
        f"{fault['id']:4}  {fault['target']:18} {fault['kind']:14} {fault['state']:8} {lasts:12} {parameters}".rstrip()
    )

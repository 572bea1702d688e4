"""The command `hardware-sim`: simulated lanes that any software can connect to."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.counted import counted
from edge_agent.domain.errors import EdgeAgentError
from hardware_sim.ctl import CONTROL_FILE, TOKEN_VARIABLE, add_ctl, run_ctl
from hardware_sim.score.command import add_score, run_score
from hardware_sim.shipped import titles

if TYPE_CHECKING:
    from hardware_sim.run import PortSim
    from hardware_sim.world.truth import Record

_OK, _FAILED, _USAGE = 0, 1, 2
_INTERRUPTED = 130
# Faster than this the operating system's own pauses are seconds of the world; such runs are stepped.
_MOST_SPEED = 1000.0


def main(argv: list[str] | None = None) -> int:
    """Run `hardware-sim`; returns the exit status: 0 done, 1 failed, 2 wrong usage or scenario, 130 interrupted."""
    arguments = _parsed(argv)
    try:
        if arguments.command == "scenarios":
            return _list_scenarios(as_json=arguments.json)
        if arguments.command == "ctl":
            return run_ctl(arguments)
        if arguments.command == "score":
            return run_score(arguments)
        if arguments.command == "replay":
            return asyncio.run(_replay(arguments))
        if arguments.command == "schema":
            return _print_schema()
        if arguments.command == "expect":
            return _expect(arguments)
        return asyncio.run(_run(arguments))
    except EdgeAgentError as error:
        print(error, file=sys.stderr)
        return _USAGE
    except BaseExceptionGroup as group:  # a task failed: our own errors are for the user, anything else is a defect
        ours, others = group.split(EdgeAgentError)
        if others is not None or ours is None:
            raise
        print("\n".join(str(error) for error in _flat(ours)), file=sys.stderr)
        return _FAILED
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in {"PIL", "aiohttp", "matplotlib", "numpy", "serial"}:
            raise
        print(f"hardware-sim: {error.name} is not installed\n  → pip install 'edge-agent[sim]'", file=sys.stderr)
        return _USAGE
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _OK
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parsed(argv: list[str] | None) -> argparse.Namespace:
    """argparse takes no NAME=VALUE after an option, where `ctl fault portal garble --for 20 share=0.5` has one."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and (not hasattr(arguments, "parameters") or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.parameters += rest
    return arguments


def _flat(group: BaseExceptionGroup[EdgeAgentError]) -> list[BaseException]:
    """The errors of a group and of the groups inside it."""
    nested = ([e] if not isinstance(e, BaseExceptionGroup) else _flat(e) for e in group.exceptions)
    return [error for errors in nested for error in errors]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hardware-sim",
        description="Simulates the devices of inspection lanes: portals, seal readers, scales, scanners and cameras "
        "that all report the same trucks. Your software connects to them as to real ones.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="bring up the devices of a scenario and send its trucks through the lane",
        description="Brings up the devices of a scenario, says where they are, sends the trucks through the lane and "
        "ends after the last one. What was really there is written to truth.jsonl in the output folder.",
    )
    run.add_argument("scenario", metavar="SCENARIO", help="name of a shipped scenario, or path of a .yaml file")
    run.add_argument("--seed", type=int, help="another seed than the scenario's: other trucks and counts")
    run.add_argument(
        "--out", type=Path, default=Path("sim-run"), metavar="DIR",
        help="folder for truth.jsonl and the terminals' links (default: sim-run)",
    )  # fmt: skip
    run.add_argument(
        "--photos", type=Path, metavar="DIR",
        help="show photos from this folder in the place of rendered trucks: DIR/<camera> for that camera if there is "
        "such a folder, else DIR for the plate cameras",
    )  # fmt: skip
    run.add_argument(
        "--hold", action="store_true",
        help="devices come up at once, but the first truck only after a line is read from standard input",
    )  # fmt: skip
    run.add_argument("--json", action="store_true", help="one JSON object a line: first what is where, then each truck")
    run.add_argument(
        "--speed", type=_speed, default=1.0, metavar="N", help="run the world N times as fast as real time"
    )
    commands.add_parser("schema", help="print the JSON schema of scenario files, for editors")
    run.add_argument(
        "--control", nargs="?", const="127.0.0.1:0", metavar="HOST:PORT",
        help="offer the control API, by which `hardware-sim ctl` and other programs drive the run; its address stands "
        f"in {CONTROL_FILE} in the output folder (default: a free port of this machine; elsewhere it needs a token in "
        f"{TOKEN_VARIABLE})",
    )  # fmt: skip
    run.add_argument("--record", type=Path, metavar="FILE", help="write every byte that goes over a line, for `replay`")
    replay = commands.add_parser(
        "replay",
        help="serve a recorded session again, byte for byte",
        description="Serves the links of a session that `run --record` wrote, with the same bytes at the same times, "
        "and ends with it.",
    )
    replay.add_argument("session", type=Path, metavar="FILE", help="what `run --record` wrote")
    replay.add_argument("--out", type=Path, default=Path("sim-run"), metavar="DIR", help="folder for terminals' links")
    replay.add_argument("--speed", type=_speed, default=1.0, metavar="N", help="N times as fast (default: 1)")
    replay.add_argument(
        "--hold", action="store_true",
        help="links come up at once, but the first byte comes only after a line on standard input",
    )  # fmt: skip
    replay.add_argument("--json", action="store_true", help="one JSON object that says what is where")
    add_score(commands)
    add_ctl(commands)
    expect = commands.add_parser(
        "expect",
        help="what a port would be told of a scenario's trucks: a file for `port-gateway expect import`",
        description="Prints what a port would be told beforehand of a scenario's trucks, with the discrepancies that "
        "the scenario declares: a file for `port-gateway expect import`.",
    )
    expect.add_argument("scenario", metavar="SCENARIO", help="name of a shipped scenario, or path of a .yaml file")
    expect.add_argument("--seed", type=int, help="as of `run`")
    expect.add_argument("--format", choices=("csv", "json"), default="csv", help="(default: csv)")
    listing = commands.add_parser("scenarios", help="list the shipped scenarios")
    listing.add_argument("--json", action="store_true", help="one JSON object: name and title")
    return parser


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed <= _MOST_SPEED:
        raise argparse.ArgumentTypeError(f"a speed is more than 0 and at most {_MOST_SPEED:g}")
    return speed


def _print_schema() -> int:
    from hardware_sim.scenario import scenario_schema

    print(json.dumps(scenario_schema(), indent=2, ensure_ascii=False))
    return _OK


def _expect(arguments: argparse.Namespace) -> int:
    from hardware_sim.expect import expected, written
    from hardware_sim.scenario import load_scenario

    scenario = load_scenario(arguments.scenario)
    seed = scenario.seed if arguments.seed is None else arguments.seed
    print(written(expected(scenario, seed), arguments.format), end="")
    return _OK


def _list_scenarios(*, as_json: bool) -> int:
    scenarios = titles()
    if as_json:
        print(json.dumps(scenarios))
    else:
        for name, title in scenarios.items():
            print(f"{name:17} {title}")
    return _OK


async def _run(arguments: argparse.Namespace) -> int:
    from hardware_sim.run import PortSim  # needs the extra [sim]
    from hardware_sim.scenario import load_scenario

    scenario = load_scenario(arguments.scenario)
    seed = scenario.seed if arguments.seed is None else arguments.seed
    if seed < 0:
        print("--seed: a seed is 0 or more", file=sys.stderr)
        return _USAGE
    out = arguments.out.absolute()
    sim = PortSim(
        scenario, seed, out, SystemClock(), arguments.photos, speed=arguments.speed, record=arguments.record
    )  # fmt: skip

    def on_truck(record: "Record") -> None:
        print(json.dumps(record) if arguments.json else _in_words(record), flush=True)

    sim.subscribe(on_truck)
    stopped = asyncio.Event()
    control = None
    if arguments.control is not None:
        from hardware_sim.control import Control

        control = Control(sim, stopped.set, arguments.control, os.environ.get(TOKEN_VARIABLE, "").strip())
        sim.opens_with(control.open)

    async def ready() -> None:
        _say_ready(sim, seed, arguments, control.url if control else None)

    try:
        return await _play(sim, ready, stopped, hold=arguments.hold, driven=control is not None)
    finally:
        if control is not None:
            await control.close()


async def _replay(arguments: argparse.Namespace) -> int:
    from hardware_sim.record import Session
    from hardware_sim.replay import Replay

    session = Session(arguments.session)
    replay = Replay(session, arguments.out.absolute(), SystemClock(), arguments.speed)

    async def ready() -> None:
        places = replay.places()
        if arguments.json:
            said = {"ready": True, "session": str(arguments.session), "seconds": session.lasts_s, "devices": places}
            print(json.dumps(said | {"held": arguments.hold}), flush=True)
            return
        _say_places(places)
        waiting = ": press Enter to let it begin" if arguments.hold else ""
        print(f"{session.lasts_s:.1f} s of {session.header.title or arguments.session}{waiting}", flush=True)

    return await _play(replay, ready, asyncio.Event(), hold=arguments.hold, driven=False)


class _Playable(Protocol):
    async def open(self) -> None: ...
    async def run(self, released: asyncio.Event | None = None) -> None: ...
    async def close(self) -> None: ...


async def _play(
    what: _Playable, ready: Callable[[], Awaitable[None]], stopped: asyncio.Event, *, hold: bool, driven: bool
) -> int:
    """Open, run until its end or a signal, and close. `driven`: somebody beside standard input can let it begin."""
    nobody = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await what.open()
    try:
        released = _release_by_line(loop, nobody, asyncio.Event() if driven else stopped) if hold else None
        await ready()
        async with asyncio.TaskGroup() as tasks:
            playing = tasks.create_task(what.run(released), name="run")
            stopping = tasks.create_task(stopped.wait(), name="stop")
            await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            playing.cancel()
            stopping.cancel()
    finally:
        await what.close()
    if nobody.is_set() and not driven:
        print("standard input ended before a line let it begin: nothing was sent", file=sys.stderr)
        return _FAILED
    return _OK


def _release_by_line(loop: asyncio.AbstractEventLoop, nobody: asyncio.Event, stopped: asyncio.Event) -> asyncio.Event:
    """Set once a line comes on standard input; at its end without one there is nobody left who could release."""
    released = asyncio.Event()

    def wait() -> None:
        # Read unbuffered: a thread that sleeps inside sys.stdin holds a lock that the interpreter needs at its end.
        while (data := os.read(0, 1024)) and b"\n" not in data:
            pass
        with contextlib.suppress(RuntimeError):  # the run ended meanwhile, and its loop with it
            for event in (released,) if data else (nobody, stopped):
                loop.call_soon_threadsafe(event.set)

    threading.Thread(target=wait, daemon=True, name="release").start()
    return released


def _say_ready(sim: "PortSim", seed: int, arguments: argparse.Namespace, control: str | None) -> None:
    places = sim.places()
    if arguments.json:
        ready = {
            "ready": True,
            "scenario": arguments.scenario,
            "seed": seed,
            "trucks": sim.truck_count,
            "held": arguments.hold,
            "devices": places,
            "truth": str(sim.truth_path),
            "control": control,
        }
        print(json.dumps(ready), flush=True)
        return
    _say_places(places)
    print(f"{'truth':18} {'':16} {sim.truth_path}")
    if control is not None:
        print(f"{'control':18} {'':16} {control}")
    waiting = "press Enter to let traffic begin" if arguments.hold else "traffic begins"
    print(f"{counted(sim.truck_count, 'truck')}, seed {seed}: {waiting}", flush=True)


def _say_places(places: dict[str, dict[str, object]]) -> None:
    for name, place in places.items():
        print(f"{name:18} {place['kind']:16} {'  '.join(str(u) for u in _urls(place))}")


def _urls(place: dict[str, object]) -> list[object]:
    urls = place["urls"]
    return urls if isinstance(urls, list) else [urls]


def _in_words(record: "Record") -> str:
    radiation = record["radiation"]
    source = radiation["source"] if isinstance(radiation, dict) else ""
    return (
        f"{record['id']}  plate {record['plate'] or '-':10} {record['region'] or '':7}"
        f" container {record['container_code'] or '-':12} seal {record['seal'] or '-':11}"
        f" source {source:7} {'night' if record['night'] else 'day'}"
    )

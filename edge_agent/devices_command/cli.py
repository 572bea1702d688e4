"""`edge-agent devices`: the words that people type, and what they read.

Booth libraries are imported by the commands that need them, as in edge_agent/cli.py.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.domain.clock import SystemClock
from edge_agent.domain.counted import counted
from edge_agent.domain.errors import EdgeAgentError
from edge_agent.subcommand import subcommand

if TYPE_CHECKING:
    from edge_agent.devices_command.settings import Attached

# What a supervisor or a script sees: a device does not speak.
EXIT_SILENT = 1

_CONFIG_HELP = "the booth's settings file (YAML)"


def add_commands(devices: argparse.ArgumentParser) -> None:
    """Adds `list`, `probe`, `monitor` and `capture`."""
    commands = devices.add_subparsers(required=True, metavar="COMMAND")
    listed = subcommand(commands, "list", _list, "what is attached here, and the drivers there are")
    listed.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help=_CONFIG_HELP + "; shows its devices too")
    listed.add_argument("--json", action="store_true", help="print one JSON object")

    probed = subcommand(commands, "probe", _probe, "does each device speak? status 1 if one does not")
    probed.add_argument("config", type=Path, metavar="CONFIG", help=_CONFIG_HELP)
    probed.add_argument("devices", nargs="*", metavar="DEVICE", help="a device's id (default: all of them)")
    probed.add_argument("--seconds", type=_positive, default=10.0, help="how long to listen (default: %(default)g)")
    probed.add_argument(
        "--baud-scan", action="store_true", help="try the common baud rates where a device does not speak at its own"
    )
    probed.add_argument("--json", action="store_true", help="print one JSON object a device")

    monitored = subcommand(commands, "monitor", _monitor, "what a device says, as it says it; Ctrl-C ends it")
    monitored.add_argument("config", type=Path, metavar="CONFIG", help=_CONFIG_HELP)
    monitored.add_argument("device", metavar="DEVICE", help="the device's id")
    monitored.add_argument("--seconds", type=_positive, help="how long (default: until Ctrl-C)")
    monitored.add_argument("--json", action="store_true", help="print one JSON object an observation")

    captured = subcommand(commands, "capture", _capture, "record a device's bytes with their times, for `replay`")
    captured.add_argument("config", type=Path, metavar="CONFIG", help=_CONFIG_HELP)
    captured.add_argument("device", metavar="DEVICE", help="the device's id")
    captured.add_argument("--out", type=Path, required=True, metavar="FILE", help="a new file (docs/captures.md)")
    captured.add_argument("--seconds", type=_positive, default=60.0, help="at most so long (default: %(default)g)")
    captured.add_argument(
        "--bytes", type=int, default=10_000_000, help="about so many bytes at most (default: %(default)s)"
    )


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86_400:
        raise ValueError("not within 0 and 86400 seconds")
    return value


def _list(options: argparse.Namespace) -> int:
    from edge_agent.devices_command.attached import everything, in_words, ports

    said = everything(_devices(options.config) if options.config else None, ports())
    print(json.dumps(said) if options.json else "\n".join(in_words(said)))
    return 0


def _probe(options: argparse.Namespace) -> int:
    from edge_agent.devices_command.booth import refuse_running
    from edge_agent.devices_command.probe import Heard, Verdict, as_json, can_scan, in_words, probe, scan_bauds

    booth, clock = _devices(options.config), SystemClock()
    devices = booth.chosen(options.devices)
    refuse_running(booth.ledger)
    silent = [device.config.id for device in devices if not device.silent_is_down]
    _tell(f"listening to {len(devices)} device{'s'[: len(devices) != 1]} for {options.seconds:g} s")
    if silent:
        _tell(f"these speak only when they are used, use them now: {', '.join(silent)}")

    async def all_of_them() -> list[tuple[Heard, int | None, bool]]:
        found = []
        for heard in await asyncio.gather(*(probe(device, clock, options.seconds) for device in devices)):
            scan = options.baud_scan and can_scan(heard)
            baud = await scan_bauds(heard, clock, options.seconds, _tell) if scan else None
            found.append((heard, baud, scan))
        return found

    found = _run(all_of_them())
    for heard, baud, scanned in found:
        said = as_json(heard, baud)
        print(json.dumps(said) if options.json else "\n".join(in_words(heard, options.seconds, baud, scanned)))
    left_out = not options.devices and booth.left_out
    return 0 if not left_out and all(heard.verdict is Verdict.SPEAKS for heard, _, _ in found) else EXIT_SILENT


def _monitor(options: argparse.Namespace) -> int:
    from edge_agent.devices_command.booth import in_utc, listen, refuse_held, refuse_running, takes_over
    from edge_agent.domain.observation import DeviceStatus, Reading
    from edge_agent.replay import as_object, line

    booth, clock = _devices(options.config), SystemClock()
    [device] = booth.chosen([options.device])
    refuse_running(booth.ledger)
    refuse_held(device)
    began = clock.monotonic()

    async def emit(reading: Reading) -> None:
        said = as_object(in_utc(reading, clock))
        text = json.dumps(said) if options.json else f"{reading.at - began:+9.3f}  {line(said)}"
        print(text, flush=True)
        if takes_over(device) and not isinstance(reading.body, DeviceStatus):
            _tell("shown, and left with its sender: only the agent takes it over")

    async def until_stopped() -> None:
        await _until(listen(device, emit, clock, options.seconds), _stop_signal())

    _run(until_stopped())
    return 0


def _capture(options: argparse.Namespace) -> int:
    from edge_agent.devices_command.booth import refuse_held, refuse_running
    from edge_agent.devices_command.record import record

    booth, clock = _devices(options.config), SystemClock()
    [device] = booth.chosen([options.device])
    refuse_running(booth.ledger)
    refuse_held(device)
    _tell(f"recording {device.config.id} at {device.where} for at most {options.seconds:g} s; Ctrl-C ends it")

    async def recording() -> Any:
        return await record(device, options.out, clock, options.seconds, options.bytes, _stop_signal())

    recorded = _run(recording())
    if not recorded.received:
        _tell(f"no byte came: the device is {recorded.last_state or 'not connected'}; {options.out} was not made")
        return EXIT_SILENT
    print(
        f"{options.out}: {counted(recorded.received, 'byte')}, {counted(recorded.messages, 'message')}, "
        f"{recorded.malformed} malformed; {recorded.why}"
    )
    print(f"look at it with: edge-agent replay {options.out}")
    return 0


def _devices(config: Path) -> "Attached":
    """The booth's devices; says what is wrong with its file."""
    from edge_agent.devices_command.settings import read_devices

    booth = read_devices(config)
    if warning := booth.warning():
        _tell(f"warning: {warning}")
    return booth


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _stop_signal() -> asyncio.Event:
    """Set by Ctrl-C or SIGTERM."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _until(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work, name="listen")
        stopping = tasks.create_task(stop.wait(), name="stop")
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        stopping.cancel()


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs it; what goes wrong comes out as one error of ours. The devices' states are printed, not logged."""
    logging.disable(logging.CRITICAL)
    try:
        return asyncio.run(work)
    except* (EdgeAgentError, BrokenPipeError) as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
    finally:
        logging.disable(logging.NOTSET)

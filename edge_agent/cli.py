"""The command `edge-agent`: what operators and integrators type.

Booth libraries are imported by the commands that need them: a back-office installs none.
"""

import argparse
import asyncio
import io
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

from edge_agent.camera_command.cli import add_commands as add_camera_commands
from edge_agent.console_command.cli import add_commands as add_console_commands
from edge_agent.devices_command.cli import add_commands as add_devices_commands
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.counted import counted
from edge_agent.domain.errors import EdgeAgentError, Fatal
from edge_agent.expected_command.cli import add_commands as add_expected_commands
from edge_agent.keys_command.cli import add_commands as add_keys_commands
from edge_agent.keys_command.cli import add_enroll_command
from edge_agent.ledger.pkcs11_key import TokenUnavailable
from edge_agent.ledger_command.cli import add_commands as add_ledger_commands
from edge_agent.subcommand import subcommand

# What a supervisor sees: 1 a fault while running (restart), 2 a mistake of the caller's (repair first).
EXIT_FAULT, EXIT_MISTAKE = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that knows fewer letters gets them spelt out
    # Whatever a file's header says: OpenCV itself decodes no larger picture (vision.picture_sizes.PIXELS_MAX).
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "100000000")
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except EdgeAgentError as error:
        print(f"edge-agent: {error}", file=sys.stderr)
        return EXIT_FAULT if isinstance(error, Fatal | TokenUnavailable) else EXIT_MISTAKE
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in {"aiohttp", "cv2", "jinja2", "numpy", "onnxruntime", "serial"}:
            raise
        print(f"edge-agent: {error.name} is not installed\n  → pip install 'edge-agent[booth]'", file=sys.stderr)
        return EXIT_MISTAKE
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # the reader of our output has gone, as `head` does
        return 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-agent",
        description="The software of one inspection booth: reads its devices and cameras, joins one vehicle into one "
        "inspection, signs and keeps it, and streams it to the port.",
    )
    parser.add_argument("--version", action="version", version=f"edge-agent {version('edge-agent')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = subcommand(commands, "run", _run, "run the booth until it is stopped (SIGTERM or Ctrl-C)")
    run.add_argument("config", type=Path, metavar="CONFIG", help="the booth's settings file (YAML)")
    run.add_argument("--verbose", action="store_true", help="log more")

    check = subcommand(commands, "check", _check, "check a settings file: every mistake in one go, with its line")
    check.add_argument("config", type=Path, metavar="CONFIG", help="the booth's settings file (YAML)")
    check.add_argument("--json", action="store_true", help="print what was understood as one JSON object")

    read = subcommand(commands, "read", _read, "read plates and container codes from photos or a video")
    read.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="a photo, a video or a folder of them")
    read.add_argument("--json", action="store_true", help="print one JSON object a photo")
    read.add_argument("--threads", type=int, default=2, help="processor threads to use (default: %(default)s)")
    read.add_argument("--draw", type=Path, metavar="DIR", help="write each picture there with boxes and texts")
    read.add_argument("--keep-faces", action="store_true", help="do not blur the faces in what --draw writes")
    read.add_argument("--models", choices=("own", "ppocr"), help=argparse.SUPPRESS)

    replay = subcommand(commands, "replay", _replay, "run a recorded capture of a device through its driver")
    replay.add_argument(
        "driver", nargs="?", metavar="DRIVER", help="e.g. rapiscan_vm250; not needed for a file by `devices capture`"
    )
    replay.add_argument("file", type=Path, metavar="FILE", help="the recording")
    replay.add_argument(
        "--format",
        choices=("wire", "stamped"),
        help="wire: the device's own bytes; stamped: a time is appended to each line (default: wire)",
    )
    replay.add_argument("--json", action="store_true", help="print one JSON object an observation")

    summary = "this booth's devices: what is attached, what they say now, and a recording of it"
    add_devices_commands(commands.add_parser("devices", help=summary, description=summary))

    summary = "align a camera: a picture of what it sees, with what was read"
    add_camera_commands(commands.add_parser("camera", help=summary, description=summary))

    summary = "the booth's own page: serve it, set its password"
    add_console_commands(commands.add_parser("console", help=summary, description=summary))

    summary = "what the port expects here, as this booth holds it"
    add_expected_commands(commands.add_parser("expected", help=summary, description=summary))

    summary = "make or show this booth's identity"
    add_keys_commands(commands.add_parser("keys", help=summary, description=summary))

    summary = "get this booth's first certificate from the port's own authority, for a one-time token"
    add_enroll_command(commands.add_parser("enroll", help=summary, description=summary))

    ledger = commands.add_parser("ledger", help="look at this booth's ledger")
    ledger_commands = ledger.add_subparsers(required=True, metavar="COMMAND")
    checked = subcommand(
        ledger_commands, "check", _ledger_check, "verify every event and the chain; the agent may run meanwhile"
    )
    checked.add_argument("config", type=Path, metavar="CONFIG", help="the booth's settings file (YAML)")
    checked.add_argument("--json", action="store_true", help="print one JSON object")
    exported = subcommand(
        ledger_commands,
        "export",
        _ledger_export,
        "write one inspection as an evidence pack that anyone can verify with openssl; the agent may run meanwhile",
    )
    exported.add_argument("config", type=Path, metavar="CONFIG", help="the booth's settings file (YAML)")
    exported.add_argument("inspection", nargs="?", metavar="INSPECTION_ID", help="the inspection's UUID")
    exported.add_argument("--seq", type=int, metavar="N", help="a single event, by its sequence, and no inspection")
    exported.add_argument("out", type=Path, metavar="OUT", help="folder to write, or a file that ends with .tar")
    exported.add_argument("--json", action="store_true", help="print one JSON object")

    add_ledger_commands(ledger_commands)

    demo = subcommand(
        commands, "demo", _demo, "simulator, agent and port gateway on this machine: trucks, truth, proof"
    )
    demo.add_argument(
        "--out", type=Path, default=Path("demo-run"), metavar="DIR", help="where the run is kept (default: %(default)s)"
    )
    demo.add_argument("--scenario", default="demo", help="a scenario of hardware-sim (default: %(default)s)")
    return parser


def _run(options: argparse.Namespace) -> int:
    # The cameras' states are logged in our words; OpenCV's and FFmpeg's own lines come with every attempt.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    from edge_agent.agent import run
    from edge_agent.config import examine_config, read_config

    # A scanner's lost token or a disk that is mounted late must not keep the whole booth from starting.
    setup = read_config(options.config, files=False)
    missing = examine_config(options.config).wrong
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(message)s",
        stream=sys.stderr,
    )
    if missing is not None:
        logging.getLogger(__name__).warning("%s", missing)

    async def until_stopped() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await run(setup, SystemClock(), stop)

    try:
        asyncio.run(until_stopped())
    except* EdgeAgentError as group:
        raise _first(group) from None
    return 0


def _first(group: BaseExceptionGroup[EdgeAgentError]) -> EdgeAgentError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _check(options: argparse.Namespace) -> int:
    from edge_agent.config import expired_certificates, read_config

    setup = read_config(options.config)
    expired = expired_certificates(setup, SystemClock().now().utc)
    for text in expired:  # no reason not to run: the booth goes on recording, and sends when there is a new one
        print(f"{options.config}: {text}", file=sys.stderr)
    lanes = [
        {
            "lane": lane.rules.lane_id,
            "expects": list(lane.rules.expects),
            "devices": {d.config.id: d.driver.device for d in lane.devices},
            "cameras": {c.id: c.shown for c in lane.cameras},
        }
        for lane in setup.lanes
    ]
    if options.json:
        print(json.dumps({"booth": str(setup.booth), "ledger": str(setup.ledger), "lanes": lanes, "expired": expired}))
        return EXIT_MISTAKE if expired else 0
    if not expired:
        print(f"{options.config}: no mistakes")
    print(f"booth    {setup.booth}\nledger   {setup.ledger}\ngateway  {setup.uplink.gateway}")
    for lane in setup.lanes:
        print(f"lane {lane.rules.lane_id} expects {', '.join(lane.rules.expects) or 'nothing'}")
        for device in lane.devices:
            print(f"  {device.config.id:<20} {device.driver.device} at {device.where}")
        for camera in lane.cameras:
            print(f"  {camera.id:<20} camera for {camera.role} at {camera.shown}")
    return EXIT_MISTAKE if expired else 0


def _read(options: argparse.Namespace) -> int:
    from edge_agent.read_images import as_text, failed, read_paths
    from edge_agent.vision.drawing import Drawings
    from edge_agent.vision.faces import FaceFinder
    from edge_agent.vision.recognisers import DEFAULT, open_recogniser

    any_failed, drawings = False, None
    if options.draw is not None:
        drawings = Drawings(options.draw, None if options.keep_faces else FaceFinder.open(options.threads))
    recogniser = open_recogniser(options.models or DEFAULT, options.threads)
    for answer in read_paths(options.paths, recogniser, drawings):
        any_failed |= failed(answer)
        print(json.dumps(answer) if options.json else as_text(answer), flush=True)
    return EXIT_FAULT if any_failed else 0


def _replay(options: argparse.Namespace) -> int:
    from edge_agent.replay import line, replay

    for observation in replay(options.driver, options.file, options.format):
        print(json.dumps(observation) if options.json else line(observation))
    return 0


def _ledger_check(options: argparse.Namespace) -> int:
    from edge_agent.config import read_config
    from edge_agent.ledger.check import verify_ledger
    from edge_agent.wire.refused import Refused

    setup = read_config(options.config)
    try:
        head = verify_ledger(setup.ledger, setup.identity().device_keys())
    except Refused as refused:
        if options.json:
            print(json.dumps({"fault": refused.code.name, "seq": refused.seq, "detail": refused.detail}))
        print(f"edge-agent: the ledger does not verify: {refused}", file=sys.stderr)
        return EXIT_FAULT
    if options.json:
        print(json.dumps({"epoch": head.epoch.hex(), "seq": head.seq, "sha256": head.sha256.hex()}))
    else:
        print(
            f"{counted(head.seq, 'event')} verified, epoch {head.epoch.hex()}, the last has SHA-256 {head.sha256.hex()}"
        )
    return 0


def _ledger_export(options: argparse.Namespace) -> int:
    from edge_agent.config import read_config
    from edge_agent.ledger.export import export

    if (options.inspection is None) == (options.seq is None):
        raise EdgeAgentError("what is to be exported?", "give INSPECTION_ID, or --seq N")
    setup = read_config(options.config, files=False)
    what = options.inspection if options.seq is None else options.seq
    written = export(setup.ledger, what, options.out, setup.identity(), SystemClock(), version("edge-agent"))
    print(json.dumps(written.as_dict()) if options.json else written.as_text())
    return 0


def _demo(options: argparse.Namespace) -> int:
    from edge_agent.demo.stage import demo

    return asyncio.run(demo(options.out, options.scenario, SystemClock(), partial(print, flush=True)))

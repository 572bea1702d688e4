"""Real programs that start in milliseconds: forked from one process that has imported them and begun nothing.

    {"run": "agent", "config": PATH, "log": PATH, "without": FAULT}  ─►  {"pid": N}
    {"wait": N}                                                      ─►  {"status": S}, -9 for a SIGKILL

`python -m tests.proofs.nursery` reads such lines; `Nursery` speaks to it. `without` takes a protection away: faults.py.
`python -m tests.proofs.nursery CONFIG FAULT` is one gateway that ends with who started it (`serving`).
"""

import asyncio
import ctypes
import gc
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from edge_agent.demo.processes import Program, program

# For each step of a program. On a machine whose cores belong to others, more: `make soak PATIENCE_S=900`.
PATIENCE_S = float(os.environ.get("PATIENCE_S", "60"))
_PR_SET_PDEATHSIG = 1


class Nursery:
    """The parent's side."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def start(self, program: str, config: Path, log: Path, without: str = "") -> int:
        """Start `edge-agent run CONFIG` or `port-gateway serve CONFIG`; its process id."""
        answer = await self._ask({"run": program, "config": str(config), "log": str(log), "without": without})
        return int(answer["pid"])

    async def wait(self, pid: int) -> int:
        """How a program ended that has ended, or is about to."""
        return int((await self._ask({"wait": pid}))["status"])

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn, asyncio.timeout(PATIENCE_S):
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            line = await self._process.stdout.readline()
        assert line, "the nursery has ended"
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer


@asynccontextmanager
async def nursery() -> AsyncIterator[Nursery]:
    """With its end, every program in it is killed."""
    one_thread = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.proofs.nursery"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **one_thread},
    )
    try:
        yield Nursery(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


def serving(config: Path, log: Path, without: str = "") -> AbstractAsyncContextManager[Program]:
    """`port-gateway serve CONFIG`, stopped at the end, and killed with this process."""
    return program("gateway", log, "tests.proofs.nursery", str(config), without)


def end_with_parent() -> None:
    """This process is killed when the one that forked it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


# --- in the process that forks ------------------------------------------------------------------------------------


def _prepare() -> None:
    """Import what both programs need, but for what starts threads."""
    for name in ("aiohttp.web", "cv2", "edge_agent.cli", "edge_agent.config", "edge_agent.ledger.recorder"):
        importlib.import_module(name)
    for name in ("edge_agent.devices.sources.http_server", "edge_agent.uplink.client", "port_gateway.cli"):
        importlib.import_module(name)
    importlib.import_module("port_gateway.serve")
    threads = len(os.listdir("/proc/self/task"))
    assert threads == 1, f"{threads} threads: what is forked from here would be half a process"
    importlib.import_module("edge_agent.agent")  # onnxruntime has a thread: nobody asks it
    importlib.import_module("edge_agent.devices.catalogue").drivers()
    gc.collect()
    gc.freeze()  # what was imported is garbage in no program: looking at it would copy each of its pages


def _run(order: dict[str, str]) -> int:
    from tests.proofs.faults import plant

    plant(order["without"])
    if order["run"] == "agent":
        from edge_agent.cli import main as agent

        return agent(["run", order["config"]])
    from port_gateway.cli import main as gateway

    return gateway(["serve", order["config"], "--json"])


def _fork(order: dict[str, str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        end_with_parent()
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        status = _run(order)
    except BaseException:  # noqa: BLE001 - a fork never goes on as its parent
        traceback.print_exc()
    finally:
        os._exit(status)


def main() -> None:
    if sys.argv[1:]:
        end_with_parent()
        sys.exit(_run({"run": "gateway", "config": sys.argv[1], "without": sys.argv[2]}))
    _prepare()
    for line in sys.stdin:
        order = json.loads(line)
        if "run" in order:
            answer = {"pid": _fork(order)}
        else:
            answer = {"status": os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

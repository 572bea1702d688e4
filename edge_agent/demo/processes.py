"""The demo's three programs, each a process of its own, as in a port."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from edge_agent.domain.errors import Permanent

STOP_S = 15.0
READY_S = 60.0
# One line of `tail --json` is one event, at most 128 KiB in protobuf; in JSON a few times that.
LINE_BYTES = 4 * 1024 * 1024


class DemoFailed(Permanent):
    """The demo cannot go on, or found something that must not be."""


class Program:
    """A running program: its lines of JSON on standard output, its log in a file."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    async def line(self, timeout_s: float = READY_S) -> dict[str, Any] | None:
        """The next object that it prints; None at its end. Raises DemoFailed after `timeout_s`."""
        assert self._process.stdout is not None  # noqa: S101 - it was started with a pipe
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise self.failed(f"said nothing for {timeout_s:g} s") from None
        if not line:
            return None
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise self.failed(f"printed {line[:80]!r}")
        return answer

    async def ready(self) -> dict[str, Any]:
        """Its first object. Raises DemoFailed if it ended instead."""
        answer = await self.line()
        if answer is None:
            raise self.failed(f"ended with status {await self._process.wait()}")
        return answer

    async def say(self, text: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None  # noqa: S101 - it was started with a pipe
        self._process.stdin.write(text.encode() + b"\n")
        await self._process.stdin.drain()

    async def wait(self, timeout_s: float) -> int:
        """Its exit status. Raises DemoFailed after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._process.wait()
        except TimeoutError:
            raise self.failed(f"did not end within {timeout_s:g} s") from None

    async def stop(self) -> int:
        """SIGTERM, and SIGKILL if that is not heard; its exit status."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        return await self._process.wait()

    def failed(self, why: str) -> DemoFailed:
        last = self._log.read_text(errors="replace").strip().splitlines()[-8:]
        return DemoFailed("\n".join([f"{self.name} {why}; the end of its log:", *last]), f"see {self._log}")


@asynccontextmanager
async def program(name: str, log: Path, module: str, *arguments: str) -> AsyncIterator[Program]:
    """Run `python -m module arguments`, stopped at the end."""
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", module, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            limit=LINE_BYTES,
        )
    running = Program(name, process, log)
    try:
        yield running
    finally:
        await running.stop()


async def finished(name: str, log: Path, module: str, *arguments: str) -> tuple[int, str]:
    """Run a command to its end: its exit status and what it printed."""
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *("-m", module, *arguments), stdout=asyncio.subprocess.PIPE, stderr=errors
        )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return await process.wait(), output.decode()

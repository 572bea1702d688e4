"""The page's end of the line from the agent: keeps the last snapshot, and knows when it came."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Never

from edge_agent.console.live import VERSION

MAX_SNAPSHOT = 1024 * 1024
SILENT_S = 5.0
RETRY_S = 1.0


async def listen(path: Path, heard: Callable[[dict[str, Any] | None], None]) -> Never:
    """Calls `heard` with each snapshot, and with None when the agent does not answer or falls silent."""
    while True:
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(SILENT_S):
                reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_SNAPSHOT)
            while True:
                async with asyncio.timeout(SILENT_S):
                    line = await reader.readline()
                if not line:
                    break
                heard(_snapshot(line))
        except (OSError, ValueError):  # refused, silent (TimeoutError is an OSError), too long, or no JSON
            pass
        finally:
            if writer is not None:
                writer.transport.abort()
        heard(None)
        await asyncio.sleep(RETRY_S)


def _snapshot(line: bytes) -> dict[str, Any]:
    snapshot = json.loads(line)
    if not isinstance(snapshot, dict) or snapshot.get("v") != VERSION:
        raise ValueError("the agent is of another version than the page: restart both")
    return snapshot

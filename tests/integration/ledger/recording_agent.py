"""Records for ever and says what is durable, until it is killed: python -m …recording_agent DIRECTORY BOOTH KEY
BEGIN [SESSION_S]."""

import asyncio
import sys
from itertools import count
from pathlib import Path

from edge_agent.domain.clock import SystemClock
from edge_agent.ledger.recorder import Recorder, open_ledger
from edge_agent.ledger.signer import open_signer
from tests.integration.ledger.conftest import alarm, picture


async def _record(recorder: Recorder, numbers: "count[int]") -> None:
    while True:
        n = next(numbers)
        evidence = (picture(5_000, b"%08d" % n),) if n % 5 == 0 else ()
        recorded = await recorder.record(alarm(n, *evidence))
        digest = evidence[0].sha256.hex() if evidence else "-"
        sys.stdout.write(f"{recorded.seq} {recorded.sha256.hex()} {digest}\n")
        sys.stdout.flush()


async def _main(directory: str, booth_id: str, key: str, begin: str, session_s: str = "inf") -> None:
    signer, age_s = open_signer(f"file:{key}"), float(session_s)
    ledger_of = open_ledger(Path(directory), booth_id, signer, SystemClock(), "1.0", lambda *_: None, session_s=age_s)
    async with ledger_of as ledger:
        numbers = count(int(begin))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(_record(ledger.recorder, numbers))


asyncio.run(_main(*sys.argv[1:]))

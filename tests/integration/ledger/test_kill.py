import contextlib
import math
import random
import subprocess
import sys

import pytest

from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.evidence_files import EvidenceFiles
from edge_agent.ledger.outbox import LedgerReader
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.v1alpha1.event_pb2 import Event
from tests.integration.ledger.conftest import Booth


def _killed_after(answers: int, booth: Booth, begin: int, session_s: float) -> list[str]:
    """What the agent said of durable events until a SIGKILL in the middle of its work, the last line maybe cut."""
    agent = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.integration.ledger.recording_agent"),
            *(booth.directory, booth.booth_id, booth.keys / "lane-1.key", str(begin), str(session_s)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert agent.stdout is not None
    with agent.stdout:
        lines = [agent.stdout.readline() for _ in range(answers)]
        agent.kill()
        lines += agent.stdout.readlines()
    agent.wait()
    return lines


def _sessions(booth: Booth) -> list[bool]:
    """Of each, whether it was opened while the agent ran."""
    reader, found, after = LedgerReader(booth.directory), list[bool](), 0
    with contextlib.closing(reader):
        while envelopes := reader.after(after, 1_000, 10**7):
            after += len(envelopes)
            events = [Event.FromString(read_envelope(envelope)[0]) for envelope in envelopes]
            found += [e.session_opened.while_running for e in events if e.WhichOneof("body") == "session_opened"]
    return found


@pytest.mark.timeout(110)
@pytest.mark.parametrize("session_s", [math.inf, 0.0], ids=["one session a run", "always in a change of sessions"])
async def test_what_was_recorded_is_there_after_a_kill(booth: Booth, session_s: float) -> None:
    rng = random.Random(20260301)
    durable: dict[int, tuple[str, str]] = {}
    for kill in range(5):
        for line in _killed_after(rng.randrange(1, 300), booth, kill * 100_000, session_s):
            if line.endswith("\n"):
                seq, sha256, evidence = line.split()
                assert int(seq) not in durable
                durable[int(seq)] = (sha256, evidence)
        head = verify_ledger(booth.directory, booth.device_keys)
        assert head.seq >= max(durable)
    reader = LedgerReader(booth.directory)
    files = EvidenceFiles(booth.directory / "evidence")
    try:
        for number, (sha256, evidence) in durable.items():
            found = reader.sha256_at(number)
            assert found is not None
            assert found.hex() == sha256
            if evidence != "-":
                assert files.read(bytes.fromhex(evidence)) is not None
        # Nothing in the ledger names evidence that is not there whole.
        assert all(files.read(blob.sha256) is not None for blob in reader.pending_blobs(0, 1_000_000))
    finally:
        reader.close()
    async with booth.open() as ledger:
        assert ledger.recorder.head.seq == head.seq + 1
    assert len(durable) > 100
    sessions = _sessions(booth)
    assert sessions.count(False) == 6
    assert (sum(sessions) > 20) == (session_s == 0)

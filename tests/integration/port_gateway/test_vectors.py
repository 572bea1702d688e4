"""Every vector of envelopes, streamed to a real gateway over mTLS as a booth would: what it keeps, what it says."""

import contextlib
from typing import Any

import apsw
import grpc
import pytest

from edge_agent.wire.chain import GENESIS_SHA256
from edge_agent.wire.refused import RefusalCode, Refused
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from port_gateway.chains import Chains, device_keys
from port_gateway.revocation import end_key
from tests.integration.port_gateway.conftest import Port, Stream
from tests.vectors.reading import CASES, VECTORS, ends_of, envelopes_of

BOOTH, EPOCH = VECTORS["booth_id"], bytes.fromhex(VECTORS["epoch"])
CERTIFICATE = bytes.fromhex(VECTORS["certificate"])
OF_NO_CASE = {"meta", "trust", "reader", "readable_port", "enrollment"}
# A reader is told of ends that lie ahead of where it reads; a port learns of them when it gets there.
OF_READERS = {"handed over twice, and both ends listed", "handed over to a key that is revoked later"}


def prepare(port: Port, case: dict[str, Any]) -> None:
    """The inbox of a port that holds nothing, knows the booth's certificate, and has revoked what the case says."""
    with contextlib.closing(apsw.Connection(str(port.settings().database))) as db, db:
        db.set_busy_timeout(5_000)
        db.execute("PRAGMA foreign_keys = OFF")
        tables = {str(row[0]) for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        for table in tables - OF_NO_CASE:
            if not table.startswith("sqlite_"):
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
        db.execute("DELETE FROM trust WHERE identity = ? AND replaced_utc_us IS NOT NULL", (BOOTH,))
        mine = port.booth.certificate_der
        db.execute("DELETE FROM trust WHERE identity = ? AND certificate <> ?", (BOOTH, mine))
        db.execute("INSERT INTO trust VALUES (NULL, ?, 'booth', ?, 0, 1)", (BOOTH, CERTIFICATE))
        for key, end in ends_of(case).items():
            end_key(db, BOOTH, key, end.code, end.through, 0)
        db.execute("UPDATE meta SET value = value + 1 WHERE key = 'trust_version'")


async def stream(port: Port, envelopes: list[bytes]) -> tuple[int, str | None, list[tuple[int, str]]]:
    """How many of them are durable, the code of the refusal, and what of them is in quarantine."""
    quarantined: list[tuple[int, str]] = []
    async with port.ingest() as stub:
        booth = Stream(stub)
        hello = wire.Hello(booth_id=BOOTH, epoch=EPOCH, oldest_seq=1, newest_seq=100, chain_head=GENESIS_SHA256)
        await booth.hello(hello)
        for seq, envelope in enumerate(envelopes, 1):
            await booth.send(seq, envelope)
        await booth.call.done_writing()
        while isinstance(response := await booth.call.read(), wire.StreamEventsResponse):
            if response.WhichOneof("message") == "nack":
                return booth.durable, RefusalCode(response.nack.code).name, quarantined
            booth.durable = response.ack.durable_through
            quarantined += [(one.seq, RefusalCode(one.code).name) for one in response.ack.quarantined]
        assert await booth.status() is grpc.StatusCode.OK
    return booth.durable, None, quarantined


async def test_the_port_keeps_and_refuses_what_the_vectors_say(served: Port) -> None:
    wrong = []
    for case in CASES:
        if case["name"] in OF_READERS:
            continue
        prepare(served, case)
        envelopes, accepted, code = envelopes_of(case), case["accepted"], case["code"]
        durable, refused, quarantined = await stream(served, envelopes)
        with contextlib.closing(apsw.Connection(str(served.settings().database))) as db:
            kept = [row[0] for row in db.execute("SELECT envelope FROM event ORDER BY cursor")]
            alarms = [row[0] for row in db.execute("SELECT code FROM alarm WHERE code <> 'KEY_ROTATED'")]
        said = durable, refused, quarantined, len(kept)
        kept_apart = case.get("quarantine")
        expected = (accepted + 1, None, [(accepted + 1, code)], accepted + 1)
        expected = expected if kept_apart else (accepted, code, [], accepted)
        if said != expected or kept != envelopes[: len(kept)] or alarms != ([refused] if refused else []):
            wrong.append(f"{case['name']}: {said} and alarms {alarms}, not {expected}")
    assert not wrong, "\n".join(wrong)


# Verified against the epoch that each envelope claims: of another epoch's, a reader sees the beginning.
OF_ANOTHER_EPOCH = {
    "wrong epoch": "UNKNOWN_KEY",
    "spliced: the beginning of another epoch": None,
    "spliced: the middle of another epoch": "UNKNOWN_KEY",
}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_reader_that_is_passed_a_forgery_refuses_it(case: dict[str, Any]) -> None:
    """As a back-office verifies: what a port of a forger's sends, with nothing held but each chain's head."""
    chains = Chains({BOOTH: device_keys(BOOTH, [CERTIFICATE])}, {BOOTH: ends_of(case)})
    expected = OF_ANOTHER_EPOCH.get(case["name"], "REPLAYED" if case["code"] == "FORK" else case["code"])
    code = None
    for envelope in envelopes_of(case):
        try:
            chains.verify(BOOTH, envelope)
        except Refused as refused:
            code = refused.code.name
            break
    assert code == expected

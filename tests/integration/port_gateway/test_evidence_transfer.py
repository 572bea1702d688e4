import hashlib
import os

import grpc
import pytest

from edge_agent.domain.evidence import EvidenceKind, EvidenceRef
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from port_gateway.evidence import CHUNK_BYTES, MAX_BLOB_BYTES, MAX_PARTIALS_A_BOOTH
from tests.integration.port_gateway.conftest import Port, Stream
from tests.unit.port_gateway.signing import Ledger, Party, device_event


async def put(
    port: Port,
    data: bytes,
    offset: int = 0,
    sha256: bytes | None = None,
    size: int | None = None,
    end: int | None = None,
) -> wire.BlobState:
    digest = sha256 or hashlib.sha256(data).digest()
    header = wire.BlobHeader(sha256=digest, size=len(data) if size is None else size, offset=offset)
    requests = [wire.PutBlobRequest(header=header)]
    part = data[offset:end]
    requests += [wire.PutBlobRequest(chunk=part[at : at + CHUNK_BYTES]) for at in range(0, len(part), CHUNK_BYTES)]
    async with port.evidence() as stub:
        return (await stub.PutBlob(iter(requests), timeout=30)).blob


async def name_in_events(port: Port, *pieces: bytes, party: Party | None = None) -> None:
    """An event of the booth for each: a back-office may read what events name that it may read."""
    booth = party or port.booth
    ledger = Ledger(booth.identity, booth.key)
    for data in pieces:
        ref = EvidenceRef(EvidenceKind.FRAME, "image/jpeg", hashlib.sha256(data).digest(), len(data))
        ledger.add(device_event(), evidence=(ref,))
    async with port.ingest(booth) as stub:
        stream = Stream(stub)
        await stream.hello(ledger.hello())
        await stream.send(1, *ledger.envelopes)
        await stream.acked(ledger.head.seq)


async def get(port: Port, sha256: bytes, reader: Party | None = None) -> bytes:
    async with port.subscribe(reader) as stub:
        return b"".join([response.chunk async for response in stub.GetBlob(wire.GetBlobRequest(sha256=sha256))])


async def stat(port: Port, *digests: bytes, party: Party | None = None) -> list[wire.BlobState]:
    async with port.evidence(party) as stub:
        return list((await stub.StatBlobs(wire.StatBlobsRequest(sha256=digests), timeout=30)).blobs)


def partials(port: Port) -> list[str]:
    folder = port.settings().evidence / "partial"
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


async def code(port: Port, data: bytes, offset: int = 0, size: int | None = None) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await put(port, data, offset=offset, size=size)
    return caught.value.code()


async def test_evidence_comes_back_as_it_was_sent(served: Port) -> None:
    pieces = (b"", b"x", os.urandom(3 * CHUNK_BYTES + 17))
    await name_in_events(served, *pieces)
    for data in pieces:
        digest = hashlib.sha256(data).digest()
        assert (await put(served, data)).complete
        assert await get(served, digest) == data
        name = digest.hex()
        assert (served.settings().evidence / name[:2] / name[2:4] / name).read_bytes() == data
        assert (await put(served, data)).complete  # again: nothing to do
    assert partials(served) == []


async def test_an_upload_resumes_from_the_committed_size(served: Port) -> None:
    data = os.urandom(4 * CHUNK_BYTES)
    digest = hashlib.sha256(data).digest()
    assert not (await put(served, data, end=CHUNK_BYTES + 100)).complete
    (state,) = await stat(served, digest)
    assert (state.complete, state.committed_size) == (False, CHUNK_BYTES + 100)
    (elsewhere,) = await stat(served, digest, party=served.other_booth)
    assert elsewhere.committed_size == 0  # a booth apart: none can spoil another's
    assert await code(served, data, offset=CHUNK_BYTES + 101) is grpc.StatusCode.INVALID_ARGUMENT
    assert (await put(served, data, offset=CHUNK_BYTES)).complete
    await name_in_events(served, data)
    assert await get(served, digest) == data
    assert (await stat(served, digest, party=served.other_booth))[0].complete


async def test_other_bytes_than_the_digest_names_are_forgotten(served: Port) -> None:
    data, other = os.urandom(1000), os.urandom(1000)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await put(served, other, sha256=hashlib.sha256(data).digest())
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert partials(served) == []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await get(served, hashlib.sha256(data).digest())
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_back_office_reads_the_evidence_of_its_ports_alone(served: Port) -> None:
    there = Party(served.folder / "far", "spiffe://usotm/booth/lane-1")
    office = Party(served.folder / "o", "spiffe://usotm/back-office/customs")
    served.trust(there, office)
    data = os.urandom(100)
    digest = hashlib.sha256(data).digest()
    assert (await put(served, data)).complete

    async def refused(reader: Party) -> str:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await get(served, digest, reader)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        return str(caught.value.details())

    assert await refused(served.office) == await refused(office)  # it is there, and no event names it yet
    await name_in_events(served, data)
    assert await get(served, digest) == data
    assert await refused(office) == "this evidence has not arrived"
    await name_in_events(served, data, party=there)  # the same picture, of a booth of that port
    assert await get(served, digest, office) == data


async def test_limits(served: Port) -> None:
    assert await code(served, b"x", size=MAX_BLOB_BYTES + 1) is grpc.StatusCode.INVALID_ARGUMENT
    assert await code(served, b"xyz", size=2) is grpc.StatusCode.INVALID_ARGUMENT
    for digests in ([b"short"], [bytes(32)] * 257):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stat(served, *digests)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    async with served.evidence() as stub:
        for requests in (
            [wire.PutBlobRequest(chunk=b"no header")],
            [wire.PutBlobRequest(header=wire.BlobHeader(sha256=b"short"))],
            [wire.PutBlobRequest(header=wire.BlobHeader(sha256=bytes(32), size=9**6))] * 2,
            [
                wire.PutBlobRequest(header=wire.BlobHeader(sha256=bytes(32), size=9**6)),
                wire.PutBlobRequest(chunk=bytes(CHUNK_BYTES + 1)),
            ],
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.PutBlob(iter(requests), timeout=30)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_what_a_booth_leaves_unfinished_is_bounded(served: Port) -> None:
    blobs = [os.urandom(10) for _ in range(MAX_PARTIALS_A_BOOTH + 5)]
    for blob in blobs:
        await put(served, blob, end=5)
    kept = partials(served)
    assert len(kept) == MAX_PARTIALS_A_BOOTH
    assert hashlib.sha256(blobs[-1]).hexdigest() in kept
    assert hashlib.sha256(blobs[0]).hexdigest() not in kept

import asyncio
import contextlib
import hashlib
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from edge_agent.domain.errors import Permanent, StoreFull
from edge_agent.wire.identity import SpiffeId
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from port_gateway.evidence import MAX_PARTIALS_A_BOOTH, BlobBusy, BlobMismatch, EvidenceFiles, Upload, check_file
from port_gateway.upload import EvidenceUpload

if TYPE_CHECKING:
    from port_gateway.inbox import Inbox
    from port_gateway.trust import TrustStore

BOOTH = SpiffeId.parse("spiffe://uslrd/booth/lane-1")


@contextlib.contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """The kernel refuses to let a file grow further (EFBIG), as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def files(tmp_path: Path) -> EvidenceFiles:
    return EvidenceFiles(tmp_path)


def test_a_full_disk_keeps_what_fitted_and_goes_on_later(files: EvidenceFiles) -> None:
    data = os.urandom(300_000)
    sha256 = hashlib.sha256(data).digest()
    with files.upload(BOOTH, sha256, len(data), 0) as upload:
        upload.write(data[:100_000])
        with files_no_larger_than(150_000), pytest.raises(StoreFull):
            upload.write(data[100_000:])
        assert not upload.finish()
    assert files.committed_size(BOOTH, sha256) == 100_000
    with files.upload(BOOTH, sha256, len(data), 100_000) as upload:
        upload.write(data[100_000:])
        assert upload.finish()
    assert check_file(files.path(sha256), sha256)


def test_a_resumed_upload_hashes_what_came_before_too(files: EvidenceFiles, tmp_path: Path) -> None:
    data = os.urandom(1000)
    sha256 = hashlib.sha256(data).digest()
    with files.upload(BOOTH, sha256, len(data), 0) as upload:
        upload.write(data[:500])
    (partial,) = [path for path in (tmp_path / "partial").rglob("*") if path.is_file()]
    partial.write_bytes(bytes([data[0] ^ 1]) + data[1:500])
    with files.upload(BOOTH, sha256, len(data), 500) as upload:
        upload.write(data[500:])
        with pytest.raises(BlobMismatch):
            upload.finish()
    assert not files.complete(sha256)
    assert files.committed_size(BOOTH, sha256) == 0


def test_uploads_at_once_are_bounded_and_one_a_piece(files: EvidenceFiles) -> None:
    with contextlib.ExitStack() as stack:
        for n in range(MAX_PARTIALS_A_BOOTH):
            stack.enter_context(files.upload(BOOTH, bytes([n]) * 32, 10, 0))
        with pytest.raises(BlobBusy, match="already"):
            files.upload(BOOTH, bytes(32), 10, 0)
        with pytest.raises(BlobBusy, match="at once"):
            files.upload(BOOTH, b"n" * 32, 10, 0)
    with files.upload(BOOTH, b"n" * 32, 10, 0) as upload, pytest.raises(Permanent, match="more than"):
        upload.write(bytes(11))


async def test_an_upload_that_is_given_up_while_a_thread_opens_it_can_be_made_anew(
    files: EvidenceFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that goes down at that moment must not shut the evidence out until the gateway starts again."""
    opens, goes_on, upload = threading.Event(), threading.Event(), files.upload

    def slow(booth: SpiffeId, sha256: bytes, size: int, offset: int) -> Upload:
        opens.set()
        assert goes_on.wait(20)
        return upload(booth, sha256, size, offset)

    monkeypatch.setattr(files, "upload", slow)
    service = EvidenceUpload(files, cast("Inbox", None), cast("TrustStore", None), 10.0)
    header = wire.BlobHeader(sha256=bytes(32), size=3)
    opening = asyncio.ensure_future(service._opened(BOOTH, bytes(32), header))
    assert await asyncio.to_thread(opens.wait, 20)
    opening.cancel()
    await asyncio.wait([opening])
    goes_on.set()
    async with asyncio.timeout(20):
        while True:
            try:
                with upload(BOOTH, bytes(32), 3, 0):
                    break
            except BlobBusy:
                await asyncio.sleep(0.01)

import contextlib
import hashlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.domain.errors import Permanent, StoreFull
from edge_agent.wire.identity import SpiffeId
from port_gateway.evidence import MAX_PARTIALS_A_BOOTH, BlobBusy, BlobMismatch, EvidenceFiles, check_file

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

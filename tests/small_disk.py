"""A file system of its own, of some megabytes: one that is really full, or really read-only."""

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

_EXT4_IOC_SHUTDOWN = 0x8004587D  # linux/fs/ext4/ext4.h


@dataclass
class Disk:
    """A file system of its own."""

    path: Path

    def fill(self, but: int = 0) -> None:
        """Nothing but `but` bytes is left."""
        with suppress(OSError), (self.path / "filler").open("ab") as filler:
            while True:
                filler.write(bytes(64 * 1024))
                filler.flush()
        with suppress(OSError), (self.path / "filler-2").open("ab", buffering=0) as filler:
            while True:
                filler.write(bytes(512))
        size = (self.path / "filler").stat().st_size
        with (self.path / "filler").open("rb+") as filler:
            filler.truncate(size - but)

    def make_room(self) -> None:
        for filler in self.path.glob("filler*"):
            filler.unlink()

    def remount(self, how: str) -> None:
        """`ro` or `rw`."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.path)], check=True, capture_output=True)

    def cut_off(self) -> None:
        """No write reaches an ext4 any more, nor does what it holds in memory (EXT4_IOC_SHUTDOWN, NOLOGFLUSH)."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, struct.pack("I", 2))
        finally:
            os.close(descriptor)

    def mount_again(self) -> None:
        """What the disk holds, read anew."""
        subprocess.run(["umount", str(self.path)], check=True)
        subprocess.run(["mount", "-o", "loop", str(self.path.with_name("image")), str(self.path)], check=True)


@contextmanager
def mounted(folder: Path, kind: str, size_mb: int) -> Iterator[Disk]:
    """A `tmpfs` or `ext4` under `folder`. Skips the test where it may not be mounted."""
    where = folder / "disk"
    where.mkdir()
    if kind == "tmpfs":
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(where)]
    else:
        image = folder / "image"
        with image.open("wb") as file:
            file.truncate(size_mb << 20)
        mount = ["mount", "-o", "loop", str(image), str(where)]
        if shutil.which("mkfs.ext4") is None:
            pytest.skip("there is no mkfs.ext4 here")
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True, capture_output=True)
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this process may not mount: {done.stderr.strip()}")
    try:
        yield Disk(where)
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)

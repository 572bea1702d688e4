"""A folder into which a scanner's software writes its files; each scan is taken over once, and then put away.

    listed every `poll_s` ─► whole (gathering.py) ─► read, hashed ─► emit ─► durable ─► moved, deleted or remembered

It is polled: inotify says nothing of what another computer writes into a network share. A scan is put away only after
it is durable, so that a kill at any point loses none. A kill between the two has it taken over again after the restart,
with the same SHA-256: at least once, and the digest tells that it is the same.
"""

import asyncio
import hashlib
import re
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from edge_agent.devices.source import Emit
from edge_agent.devices.sources.folder_files import After, FolderFiles, Listing, NotAsListed
from edge_agent.devices.sources.gathering import Entry, Gathering, Rules, WholeScan, all_entries
from edge_agent.devices.sources.places import Place, checks_files
from edge_agent.devices.sources.scan_file import NOTHING, TEXT_MAX, FileSettings, clean, stated_by_name
from edge_agent.devices.sources.scan_reading import File, scan_reading
from edge_agent.devices.sources.sidecar import SidecarSettings, read_sidecar
from edge_agent.devices.sources.threads import in_thread
from edge_agent.domain.clock import Clock
from edge_agent.domain.errors import LinkDown
from edge_agent.domain.observation import (
    DeviceFault,
    DeviceState,
    DeviceStatus,
    FaultKind,
    Malformed,
    Reading,
)

# A network share that does not answer holds the call in the kernel.
LIST_S = 30.0
READ_S = 600.0

Result = TypeVar("Result")


def _suffix(text: str) -> str:
    if not re.fullmatch(r"[.~_-][^/\\]{0,20}", text):
        raise ValueError(f"{text!r} is no suffix: write it as .done")
    return text.lower()


Suffix = Annotated[str, AfterValidator(_suffix)]


class Settings(FileSettings):
    """The folder, how a whole file is known, and what becomes of it."""

    directory: Place
    patterns: tuple[str, ...] = Field(
        default=("*.uff", "*.dcm", "*.dcs", "*.dicom", "*.tif", "*.tiff", "*.png", "*.jpg", "*.jpeg"),
        min_length=1,
        description="names of the scanner's files; case does not matter, others are left alone",
    )
    temporary_suffixes: tuple[Suffix, ...] = Field(
        default=(".tmp", ".temp", ".part", ".partial", ".filepart", ".writing", "~"),
        description="names that end so are being written and renamed when whole; so are names that begin with a dot",
    )
    done_suffix: Suffix | None = Field(
        default=None, description="a scan counts when scan.dcm.done or scan.done is there as well; unset: no marker"
    )
    settle_s: float = Field(default=2.0, ge=0.1, le=3600, description="a file counts when it has not changed so long")
    poll_s: float = Field(default=1.0, ge=0.05, le=60, description="how often the folder is listed")
    name_pattern: str | None = Field(
        default=None, description="a regular expression with the groups scan, vehicle and taken, or some of them"
    )
    sidecar: SidecarSettings | None = Field(default=None, description="a JSON or XML file with the scan's numbers")
    after: After = Field(default="move", description="what becomes of a file once its scan is in the ledger")
    done_directory: Place | None = Field(
        default=None, description="where files are moved, on the same file system; unset: `done` in the folder"
    )
    memory: Place | None = Field(default=None, description="the file in which files that stay are remembered")
    mount: Place | None = Field(
        default=None, description="must be a mount point: an unmounted share looks like an empty folder"
    )
    min_free_mb: int = Field(
        default=100, ge=0, description="with less room the scanner cannot write: the device is down"
    )

    @field_validator("name_pattern")
    @classmethod
    def _names_something(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                groups = set(re.compile(pattern).groupindex)
            except re.error as error:
                raise ValueError(f"it is no regular expression: {error}") from None
            if not groups or groups - {"scan", "vehicle", "taken"}:
                raise ValueError("its groups must be (?P<scan>…), (?P<vehicle>…) or (?P<taken>…)")
        return pattern

    @field_validator("memory")
    @classmethod
    def _has_a_folder(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is not None and checks_files(info) and not path.parent.is_dir():
            raise ValueError(f"the folder {path.parent} is not there: make it, on a local disk")
        return path

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.after == "remember") != (self.memory is not None):
            raise ValueError("`memory` belongs to `after: remember`, which needs it")
        if self.after != "move" and self.done_directory is not None:
            raise ValueError("`done_directory` belongs to `after: move`")
        if self.done_directory is not None and self.done_directory.resolve() == self.directory.resolve():
            raise ValueError("`done_directory` is the folder itself: its scans would be taken over again and again")
        return self

    @property
    def done(self) -> Path:
        """Where files are moved."""
        return self.done_directory or self.directory / "done"


class WatchedFolder:
    """The source. `sleep` stands in for time in tests."""

    def __init__(
        self, settings: Settings, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._pattern = re.compile(settings.name_pattern) if settings.name_pattern else None
        self._gathering = Gathering(
            Rules(
                patterns=tuple(pattern.lower() for pattern in settings.patterns),
                temporary=settings.temporary_suffixes,
                sidecars=settings.sidecar.suffixes if settings.sidecar else (),
                done_suffix=settings.done_suffix or "",
                name_pattern=self._pattern,
                settle_s=settings.settle_s,
            )
        )
        self._left: dict[WholeScan, dict[str, str]] = {}  # in the ledger and still here; its files' digests
        self._fault_told = False
        self._folder = FolderFiles(settings.directory, settings.after, settings.done, settings.memory, settings.mount)
        self._full = False

    async def run(self, emit: Emit) -> None:
        """Raises LinkDown when the folder is away, full, or cannot be listed."""
        name = f"folder {self._settings.directory}"
        if any(thread.name == name for thread in threading.enumerate()):
            raise LinkDown(
                f"{self._settings.directory} still does not answer", "check the network share and its server"
            )
        try:
            await self._watch(name, emit)
        except LinkDown:
            await self._fault(emit, False, "")  # the next source begins anew, and would never tell the end of it
            raise

    async def _watch(self, name: str, emit: Emit) -> None:
        await self._ask(self._folder.prepare, name, LIST_S)
        waiting = False
        while True:
            listing = await self._ask(self._folder.list, name, LIST_S)
            self._full = listing.free_mb < self._settings.min_free_mb
            if not self._full and not waiting:
                waiting = True
                how = f"watches {self._settings.directory}"
                await emit(Reading(DeviceStatus(DeviceState.WAITING, how), self._clock.monotonic()))
            await self._turn(listing, name, emit)
            await self._sleep(self._settings.poll_s)

    async def _turn(self, listing: Listing, name: str, emit: Emit) -> None:
        """What one look at the folder leads to."""
        now = self._clock.monotonic()
        await self._put_away_again(name, listing, emit)
        found = self._gathering.look((e for e in listing.entries if not self._is_taken(e)), now)
        for wrong in found.wrong:
            await emit(Reading(Malformed(wrong), now))
        for scan in found.scans:
            await self._take(scan, name, emit)
        # A new source would not know what is left here, and would take it over again.
        if self._full and not found.scans and not found.settling and not self._left:
            raise LinkDown(
                f"{self._settings.directory} has {listing.free_mb} MB free: the scanner cannot write there",
                f"make room; below {self._settings.min_free_mb} MB (`min_free_mb`) this is reported",
            )

    def _is_taken(self, entry: Entry) -> bool:
        if self._folder.memory is not None and self._folder.memory.knows(entry):
            return True
        return any(entry in all_entries(scan) for scan in self._left)

    async def _take(self, scan: WholeScan, name: str, emit: Emit) -> None:
        """Reads a scan, emits it, and puts it away once it is durable."""
        at = self._clock.monotonic()
        try:
            reading, digests = await self._ask(lambda: self._read(scan, at), name, READ_S)
        except NotAsListed:
            return
        except PermissionError as error:
            for wrong in self._gathering.once(scan.files[0].name, f"cannot be read: {error.strerror}: it stays here"):
                await emit(Reading(Malformed(wrong), at))
            return
        memory = self._folder.memory
        if memory is None or not all(memory.knows_content(file, digest) for file, digest in digests.items()):
            await emit(reading)
        self._left[scan] = digests
        await self._put_away(scan, name, emit)

    async def _put_away_again(self, name: str, listing: Listing, emit: Emit) -> None:
        there = set(listing.entries)
        for scan in list(self._left):
            if there.isdisjoint(all_entries(scan)):
                del self._left[scan]
            else:
                await self._put_away(scan, name, emit)
        if not self._left:
            await self._fault(emit, False, "")

    async def _put_away(self, scan: WholeScan, name: str, emit: Emit) -> None:
        digests = self._left[scan]
        try:
            await self._ask(lambda: self._folder.put_away(scan, digests), name, LIST_S)
        except OSError as error:
            what = {"move": f"moved to {self._settings.done}", "delete": "deleted", "remember": "remembered"}
            file = clean(scan.files[0].name, TEXT_MAX)
            detail = (
                f"{file} is in the ledger and cannot be {what[self._settings.after]}: {error.strerror}; "
                "after a restart it would be taken over again"
            )
            await self._fault(emit, True, detail)
        else:
            del self._left[scan]

    async def _fault(self, emit: Emit, active: bool, detail: str) -> None:
        if active is not self._fault_told:
            self._fault_told = active
            await emit(Reading(DeviceFault(FaultKind.INTERNAL, active, detail), self._clock.monotonic()))

    async def _ask(self, call: Callable[[], Result], name: str, within_s: float) -> Result:
        """A call to the file system. Raises LinkDown when it hangs, or says that the folder is away."""
        try:
            async with asyncio.timeout(within_s):
                return await in_thread(call, name)
        except TimeoutError:
            raise LinkDown(
                f"{self._settings.directory} has not answered for {within_s:g} s",
                "check the network share and its server",
            ) from None

    # --- in a thread ----------------------------------------------------------------------------------------------

    def _read(self, scan: WholeScan, at: float) -> tuple[Reading, dict[str, str]]:
        """Raises NotAsListed, PermissionError, LinkDown."""
        files = [File(entry.name, self._folder.content(entry)) for entry in scan.files]
        stated, notes, raw = NOTHING, list[str](), b""
        for entry in scan.sidecars:
            data = self._folder.content(entry)
            raw += data
            try:
                if self._settings.sidecar is not None:
                    stated = stated.or_else(read_sidecar(data, self._settings.sidecar))
            except ValueError as error:
                notes.append(f"{entry.name}: {error}")
        for entry in scan.files:
            stated = stated.or_else(stated_by_name(entry.name, self._pattern))
        reading = scan_reading(files, stated, self._settings, at, "; ".join(notes), raw)
        return reading, {file.name: hashlib.sha256(file.data).hexdigest() for file in files}

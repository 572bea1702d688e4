"""What else lies in a watched folder, and a folder that is full, hung, closed or gone."""

import asyncio
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edge_agent.devices.sources import folder_files, folder_memory, threads, watched_folder
from edge_agent.devices.sources.folder_files import FolderFiles, NotAsListed
from edge_agent.devices.sources.folder_memory import FolderMemory
from edge_agent.devices.sources.gathering import Entry, WholeScan
from edge_agent.devices.sources.watched_folder import Settings, WatchedFolder
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import LinkDown
from edge_agent.domain.observation import DeviceFault, DeviceStatus
from tests.integration.devices import folder_booth
from tests.integration.devices.conftest import until
from tests.integration.devices.folder_booth import Heard, looks, settings, watching
from tests.scanner import png

folder = folder_booth.folder


# --- whatever else lies there ---------------------------------------------------------------------------------------


async def test_what_is_no_file_is_told_once_and_left_alone(folder: Path) -> None:
    (folder / "link.png").symlink_to("/etc/hostname")
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    (folder / "nowhere.png").symlink_to("/nowhere")
    async with watching(settings(folder)) as heard:
        for _ in range(3):
            await looks(heard, folder)
    assert sorted(why.split(":")[0] for why in heard.wrong) == ["link.png", "nowhere.png", "pipe.png"]
    assert "is no regular file" in heard.wrong[0]
    assert (folder / "link.png").is_symlink()


async def test_a_file_too_large_for_the_ledger_stays(folder: Path) -> None:
    with (folder / "huge.uff").open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    async with watching(settings(folder)) as heard:
        for _ in range(3):
            await looks(heard, folder)
    assert len(heard.wrong) == 1
    assert "67108865 bytes, more than 64 MiB: it stays here" in heard.wrong[0]
    assert (folder / "huge.uff").exists()


async def test_a_file_that_may_not_be_read_is_told_once_and_read_when_it_may(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.open

    def refuses(path: Any, *arguments: Any, **named: Any) -> int:
        if str(path).endswith("S1.png"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return really(path, *arguments, **named)

    (folder / "S1.png").write_bytes(png(30, 40))
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuses)
        async with watching(settings(folder)) as heard:
            for _ in range(3):
                await looks(heard, folder)
            patch.undo()
            await until(lambda: png(30, 40) in heard.files)
    assert heard.wrong == ["S1.png: cannot be read: Permission denied: it stays here"]


def test_only_the_very_file_that_was_listed_is_read(folder: Path) -> None:
    files = FolderFiles(folder, "move", folder / "done", None, None)
    files.prepare()
    (folder / "S1.png").write_bytes(b"listed")
    [entry] = files.list().entries
    assert files.content(entry) == b"listed"
    for changed in (_written, _replaced_by_a_link, _replaced_by_a_pipe, _gone):
        changed(folder / "S1.png")
        with pytest.raises(NotAsListed):
            files.content(entry)


@pytest.mark.parametrize("content", [b"as long", b"longer than it was listed", b"less"])
def test_a_file_that_changes_while_it_is_read_is_looked_at_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    files = FolderFiles(folder, "move", folder / "done", None, None)
    files.prepare()
    (folder / "S1.png").write_bytes(b"listed!")
    [entry] = files.list().entries
    really = os.fdopen

    def read_slowly(descriptor: int, mode: str) -> Any:
        file = really(descriptor, mode)
        (folder / "S1.png").write_bytes(content)
        return file

    def check(name: str, status: os.stat_result) -> Entry:
        return compared.pop() if compared else entry_of(name, status)

    entry_of, compared = folder_files._entry, [entry]  # the first look at it came before the change
    monkeypatch.setattr(folder_files, "_entry", check)
    monkeypatch.setattr(os, "fdopen", read_slowly)
    with pytest.raises(NotAsListed):
        files.content(entry)


def _written(path: Path) -> None:
    path.write_bytes(b"changed")


def _replaced_by_a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


def _replaced_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _gone(path: Path) -> None:
    path.unlink()


def test_a_file_renamed_into_place_as_another_is_put_away_comes_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = FolderFiles(folder, "move", folder / "done", None, None)
    files.prepare()
    (folder / "S1.png").write_bytes(b"taken over")
    [entry] = files.list().entries
    really = os.lstat

    def lstat(path: Any) -> os.stat_result:
        status = really(path)
        if Path(path).parent == folder:  # the scanner is faster than we are
            (folder / "new").write_bytes(b"new, not taken over")
            (folder / "new").rename(folder / "S1.png")
        return status

    monkeypatch.setattr(os, "lstat", lstat)
    files.put_away(WholeScan("S1", (entry,), (), ()), {})
    assert (folder / "S1.png").read_bytes() == b"new, not taken over"


async def test_a_name_that_is_no_text(folder: Path) -> None:
    name = os.fsdecode(b"S\xe9\x07.png")
    (folder / name).write_bytes(png(30, 40))
    async with watching(settings(folder)) as heard:
        await until(lambda: heard.scans)
        await until(lambda: (folder / "done" / name).exists())
    assert heard.scans[0].scan_id == "S?"


async def test_a_broken_sidecar_is_noted_and_kept(folder: Path) -> None:
    (folder / "S1.png").write_bytes(png(30, 40))
    (folder / "S1.json").write_bytes(b'{"scan_id": ')
    async with watching(settings(folder, sidecar={})) as heard:
        await until(lambda: heard.scans)
    assert heard.scans[0].note.startswith("S1.json: Expecting value")
    assert heard.readings[1].raw == b'{"scan_id": '


# --- the folder itself ----------------------------------------------------------------------------------------------


async def ended(given: Settings) -> LinkDown:
    with pytest.raises(LinkDown) as raised:
        await asyncio.wait_for(WatchedFolder(given, SystemClock()).run(Heard().emit), 20)
    assert raised.value.remedy
    return raised.value


async def test_a_folder_that_is_not_there(folder: Path, tmp_path: Path) -> None:
    assert "is not there" in (await ended(settings(tmp_path / "nothing"))).wrong
    (tmp_path / "file").touch()
    assert "is not there" in (await ended(settings(tmp_path / "file"))).wrong
    assert "is not mounted" in (await ended(settings(folder, mount=tmp_path))).wrong


async def test_a_folder_that_was_unmounted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watching(settings(folder)) as heard:
        await looks(heard, folder)
    given = WatchedFolder(settings(folder), SystemClock())
    given._folder._device = 0
    monkeypatch.setattr(FolderFiles, "prepare", lambda self: None)
    with pytest.raises(LinkDown, match="was unmounted, or mounted anew"):
        await given.run(heard.emit)


async def test_files_cannot_be_moved(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "done").touch()
    assert "done cannot be written: File exists" in (await ended(settings(folder))).wrong
    other = Path("/dev/shm") / f"edge-agent-{os.getpid()}"  # noqa: S108 - a file system of its own
    try:
        assert "lies on another file system" in (await ended(settings(folder, done_directory=other))).wrong
    finally:
        other.rmdir()
    given = settings(folder, after="remember", memory=tmp_path / "no" / "taken")
    assert "where taken files are remembered, cannot be used" in (await ended(given)).wrong


async def test_a_full_folder_is_emptied_first_and_then_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "S1.png").write_bytes(png(30, 40))
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize // 1_000_000
    heard = Heard()
    given = settings(folder, min_free_mb=free * 2 + 1, after="delete")
    with pytest.raises(LinkDown, match="MB free: the scanner cannot write there"):
        await asyncio.wait_for(WatchedFolder(given, SystemClock()).run(heard.emit), 20)
    assert heard.files == [png(30, 40)]
    assert not any(isinstance(reading.body, DeviceStatus) for reading in heard.readings), "it was never up"


async def test_too_many_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_files, "MAX_NAMES", 5)
    for number in range(6):
        (folder / f"{number}.txt").touch()
    assert "holds more than 5 names" in (await ended(settings(folder))).wrong


@pytest.fixture
def hung() -> Iterator[threading.Event]:
    released = threading.Event()
    yield released
    released.set()


async def test_a_share_that_does_not_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, hung: threading.Event
) -> None:
    really = os.scandir
    monkeypatch.setattr(watched_folder, "LIST_S", 0.2)
    monkeypatch.setattr(threads, "CLOSE_S", 0.1)
    monkeypatch.setattr(os, "scandir", lambda path: hung.wait(60) and really(path))
    assert "has not answered for 0.2 s" in (await ended(settings(folder))).wrong
    assert "still does not answer" in (await ended(settings(folder))).wrong
    hung.set()
    await until(lambda: not any(thread.name.startswith("folder") for thread in threading.enumerate()))
    async with watching(settings(folder)) as heard:
        await looks(heard, folder)


@pytest.mark.parametrize("after", ["move", "delete"])
async def test_what_cannot_be_put_away_is_a_fault_and_is_not_taken_over_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    really, refuse = Path.rename, True

    def rename(self: Path, target: Any) -> Path:
        if refuse and self.name == "S1.png":
            raise OSError(errno.EROFS, "Read-only file system")
        return really(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    (folder / "S1.png").write_bytes(png(30, 40))
    async with watching(settings(folder, after=after)) as heard:
        await until(lambda: heard.faults == [True])
        for _ in range(2):
            await looks(heard, folder)
        assert heard.files.count(png(30, 40)) == 1
        refuse = False
        await until(lambda: heard.faults == [True, False])
        assert not (folder / "S1.png").exists()
    [fault] = [r.body for r in heard.readings if isinstance(r.body, DeviceFault) and r.body.active]
    assert "S1.png is in the ledger and cannot be" in fault.detail
    assert "Read-only file system" in fault.detail


async def test_what_cannot_be_remembered_is_a_fault(folder: Path, tmp_path: Path) -> None:
    memory = tmp_path / "memory" / "taken"
    memory.parent.mkdir()
    async with watching(settings(folder, after="remember", memory=memory)) as heard:
        memory.rename(tmp_path / "moved")
        memory.mkdir()
        (folder / "S1.png").write_bytes(png(30, 40))
        await until(lambda: heard.faults == [True])
        memory.rmdir()
        await until(lambda: heard.faults == [True, False])
        await looks(heard, folder)
    assert heard.files.count(png(30, 40)) == 1
    assert b"S1.png" in memory.read_bytes()


def test_what_a_kill_left_half_deleted_is_removed(folder: Path) -> None:
    (folder / ".edge-agent-deleted-77").touch()
    FolderFiles(folder, "delete", folder / "done", None, None).prepare()
    assert not list(folder.iterdir())


def test_the_memory_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_memory, "SPARE_LINES", 10)
    memory = FolderMemory(tmp_path / "taken")
    for number in range(0, 12, 2):
        memory.add([(Entry(f"{number + i}", 1, 2, 3), "aa") for i in range(2)])
    memory.keep_only({"7"})
    assert len((tmp_path / "taken").read_text().splitlines()) == 1
    again = FolderMemory(tmp_path / "taken")
    assert again.knows(Entry("7", 1, 2, 99))
    assert not again.knows(Entry("7", 1, 3, 3))
    assert not again.knows(Entry("8", 1, 2, 3))


# --- settings -------------------------------------------------------------------------------------------------------


def test_places_are_beside_the_settings_file(tmp_path: Path) -> None:
    given = Settings.model_validate({"directory": "scans", "done_directory": "/away"}, context={"folder": tmp_path})
    assert given.directory == tmp_path / "scans"
    assert given.done == Path("/away")
    assert Settings(directory=Path("scans")).done == Path("scans/done")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name_pattern": "("}, "no regular expression"),
        ({"name_pattern": r"\d+"}, "its groups must be"),
        ({"name_pattern": r"(?P<lane>\d+)"}, "its groups must be"),
        ({"after": "remember"}, "`memory` belongs to"),
        ({"memory": "x"}, "`memory` belongs to"),
        ({"after": "delete", "done_directory": "x"}, "`done_directory` belongs to"),
        ({"done_suffix": "done/x"}, "is no suffix"),
        ({"formats": {"uff": "uff"}}, "is no extension"),
        ({"patterns": []}, "at least 1"),
        ({"directory": None}, "path"),
    ],
)
def test_settings_that_cannot_be_meant(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings.model_validate({"directory": "scans", **changes})

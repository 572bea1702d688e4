"""`edge-agent keys rotate` with the whole agent and a real gateway; and killed at every step."""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from edge_agent.cli import main
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.errors import IdentityInvalid, StoreFailed
from edge_agent.domain.event import Draft
from edge_agent.keys_command.rotate import rotate
from edge_agent.ledger.check import verify_ledger
from edge_agent.ledger.handover import handed_over, handover
from edge_agent.ledger.recorder import Ledger, open_ledger
from edge_agent.ledger.salvage import salvage
from edge_agent.ledger.wal import FRAME_HEADER, HEADER
from edge_agent.wire.identity import SpiffeId, certificate_key, create_identity, key_id, load_certificate
from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2_grpc import EvidenceServiceStub
from port_gateway.audit import audit
from port_gateway.cli import main as gateway_main
from port_gateway.tail import Printer, Tail, tail
from tests.hardware_token import HardwareToken, needs_softhsm
from tests.integration.keys.booth_at_port import BOOTH, Booth
from tests.integration.ledger.conftest import AT, alarm
from tests.integration.port_gateway.conftest import Port

NOW = SystemClock().now().utc


def certificate_id(path: Path) -> str:
    return key_id(certificate_key(load_certificate(path)))


async def command(*arguments: str) -> int:
    return await asyncio.to_thread(main, list(arguments))


@pytest.fixture(params=["file", pytest.param("token", marks=needs_softhsm)])
def booth(request: pytest.FixtureRequest, tmp_path: Path) -> Booth:
    if request.param == "file":
        create_identity(tmp_path, "booth", SpiffeId.parse(BOOTH), NOW)
        return Booth(tmp_path, Port(tmp_path), "booth.key")
    token: HardwareToken = request.getfixturevalue("token")
    assert main(["keys", "init", BOOTH, "--out", str(tmp_path), "--signer", token.uri()]) == 0
    return Booth(tmp_path, Port(tmp_path), token.uri())


async def test_the_port_takes_the_new_key_and_closes_the_door_behind_the_old_one(
    booth: Booth, capsys: pytest.CaptureFixture[str]
) -> None:
    booth.trust()
    old = certificate_id(booth.folder / "booth.crt")
    old_pair = booth.setup().identity().current()
    async with booth.port.serving() as gateway:
        await booth.run_until(lambda: booth.acked() >= 1)
        assert await command("keys", "rotate", str(booth.config), "--json") == 0
        done = json.loads(capsys.readouterr().out.splitlines()[-1])
        new = done["new"]
        assert done["old"] == old
        handed = done["seq"]  # behind the session's, and what a lane said of itself when the agent stopped
        await booth.run_until(lambda: booth.acked() > handed and certificate_id(booth.folder / "booth.crt") == new)
        before = booth.acked()
        await booth.run_until(lambda: booth.acked() > before)
        assert sorted(p.name for p in booth.folder.glob("booth.*") if p.name != "booth.yaml") == sorted(
            {"booth.crt", "booth.crt.former"} | ({"booth.key"} if booth.key == "booth.key" else set())
        )
        assert await command("ledger", "check", str(booth.config)) == 0
        for seq, line in ((1, f"{old} KEY_RETIRED {handed}"), (handed + 1, f"{new} not-known")):
            pack = booth.folder / f"pack-{seq}"
            assert await command("ledger", "export", str(booth.config), "--seq", str(seq), str(pack)) == 0
            assert line in (pack / "KEYS").read_text().splitlines()
        counts, alarms = audit(booth.port.settings())
        kept = verify_ledger(booth.folder / "ledger", booth.setup().identity().device_keys()).seq
        assert before < counts.events <= kept
        assert [text for text in alarms if "KEY_ROTATED" in text and f"the key {old} handed over" in text] == alarms
        assert len(alarms) == 1
        office = booth.port.office
        files = (booth.port.gateway.certificate_path, office.key_path, office.certificate_path)
        assert await tail(Tail(gateway.address, *files, after=0, wait_s=0.2), Printer(False)) == 0
        assert f"handed over to a new device key: {new}" in capsys.readouterr().out
        with contextlib.closing(booth.port.store()) as store:
            trust = booth.port.trust_store(store).current()
        states = {key_id(r.key): (r.active, trust.handed_over(r)) for r in trust.registered}
        assert (states[old], states[new]) == ((False, True), (True, False))
        revoke = ["trust", "revoke", str(booth.port.write_config()), BOOTH, "--key", old, "--now"]
        assert await asyncio.to_thread(gateway_main, revoke) == 0
        assert f"STILL IN FORCE: key {new}" in capsys.readouterr().out
        if (pem := old_pair.key.pem()) is not None:
            chain = (booth.folder / "booth.crt.former").read_bytes()
            credentials = grpc.ssl_channel_credentials(booth.port.gateway.pair[1], pem, chain)
            async with grpc.aio.secure_channel(gateway.address, credentials) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await EvidenceServiceStub(channel).StatBlobs(wire.StatBlobsRequest(), timeout=5)
                assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_it_can_be_handed_over_again_and_again_without_a_port(booth: Booth) -> None:
    for _ in range(2):
        assert (await rotate(booth.setup(), SystemClock(), "1.0")).seq > 0
        assert (await rotate(booth.setup(), SystemClock(), "1.0")).seq == 0  # waits for the port
        async with opened(booth):
            pass
        booth.setup().identity().promote()
    assert verify_ledger(booth.setup().ledger, booth.setup().identity().device_keys()).seq == 6


@pytest.mark.parametrize("year", [1970, 2200])
async def test_a_wrong_clock_hands_nothing_over(tmp_path: Path, year: int) -> None:
    create_identity(tmp_path, "booth", SpiffeId.parse(BOOTH), NOW)
    booth = Booth(tmp_path, Port(tmp_path), "booth.key")
    identity = booth.setup().identity()
    with pytest.raises(IdentityInvalid, match=f"clock says {year}-01-01 00:20 UTC, outside"):
        identity.prepare(SpiffeId.parse(BOOTH), datetime(year, 1, 1, 0, 20, tzinfo=UTC))
    assert not list(tmp_path.glob("*.next"))


async def test_another_user_than_the_ledgers_hands_nothing_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_identity(tmp_path, "booth", SpiffeId.parse(BOOTH), NOW)
    booth = Booth(tmp_path, Port(tmp_path), "booth.key")
    async with opened(booth):
        pass
    user = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(IdentityInvalid, match="run this as that user: runuser -u "):
        await rotate(booth.setup(), SystemClock(), "1.0")
    assert not list(tmp_path.glob("*.next"))


async def test_the_old_key_alone_opens_no_session_any_more(booth: Booth) -> None:
    await rotate(booth.setup(), SystemClock(), "1.0")
    (booth.folder / "booth.crt.next").unlink()
    with pytest.raises(IdentityInvalid, match="the ledger was handed over to the key"):
        opened(booth)


async def test_a_key_that_was_registered_after_a_rotation_goes_on(tmp_path: Path) -> None:
    create_identity(tmp_path, "booth", SpiffeId.parse(BOOTH), NOW)
    booth = Booth(tmp_path, Port(tmp_path), "booth.key")
    await rotate(booth.setup(), SystemClock(), "1.0")
    booth.setup().identity().promote()
    for name in ("booth.key", "booth.crt"):
        (tmp_path / name).rename(tmp_path / f"lost-{name}")
    create_identity(tmp_path, "booth", SpiffeId.parse(BOOTH), NOW)
    async with opened(booth):
        pass
    keys = booth.setup().identity().device_keys()
    lost = certificate_key(load_certificate(tmp_path / "lost-booth.crt"))
    assert verify_ledger(tmp_path / "ledger", {**keys, key_id(lost): lost}).seq == 3


async def test_a_salvaged_ledger_stays_handed_over(tmp_path: Path) -> None:
    create_identity(tmp_path, "booth", SpiffeId.parse(BOOTH), NOW)
    booth = Booth(tmp_path, Port(tmp_path), "booth.key")
    done = await rotate(booth.setup(), SystemClock(), "1.0")
    salvage(tmp_path / "ledger", BOOTH, booth.setup().identity().device_keys())
    handed = handed_over(tmp_path / "ledger" / "ledger.sqlite3")
    assert handed is not None
    assert handed.key == done.new
    assert set(handed.retired) == {done.old}
    async with opened(booth) as ledger:
        assert ledger.recorder.head.seq == 1
    assert verify_ledger(tmp_path / "ledger", booth.setup().identity().device_keys()).seq == 1


async def test_a_handover_outlives_its_event(tmp_path: Path) -> None:
    """The second salvage finds no KeyRotated: it is of the epoch before."""
    create_identity(tmp_path, "booth", SpiffeId.parse(BOOTH), NOW)
    booth = Booth(tmp_path, Port(tmp_path), "booth.key")
    done = await rotate(booth.setup(), SystemClock(), "1.0")
    database = tmp_path / "ledger" / "ledger.sqlite3"
    for _ in range(2):
        salvage(database.parent, BOOTH, booth.setup().identity().device_keys())
        handed = handed_over(database)
        assert handed is not None
        assert (handed.key, set(handed.retired)) == (done.new, {done.old})
        async with opened(booth) as ledger:
            assert ledger.recorder.head.seq == 1


@pytest.mark.parametrize("begun", [False, True], ids=["not begun", "begun"])
async def test_a_handover_that_a_damaged_log_alone_holds_stays(tmp_path: Path, begun: bool) -> None:
    """`begun`: the new key has signed events since, which lie in the same log."""
    create_identity(tmp_path, "booth", SpiffeId.parse(BOOTH), NOW)
    booth = Booth(tmp_path, Port(tmp_path), "booth.key")
    directory = tmp_path / "ledger"
    old, identity = certificate_id(tmp_path / "booth.crt"), booth.setup().identity()
    async with opened(booth):
        pass

    @contextlib.asynccontextmanager
    async def killed() -> AsyncIterator[Ledger]:
        async with opened(booth) as ledger:
            yield ledger
            shutil.copytree(directory, tmp_path / "killed")
        shutil.rmtree(directory)
        (tmp_path / "killed").rename(directory)

    async with killed() as ledger:
        new = identity.prepare(SpiffeId.parse(BOOTH), NOW)
        await ledger.recorder.record(Draft(handover(BOOTH, ledger.outbox.epoch, old, new), AT))
    if begun:
        async with killed() as ledger:
            await ledger.recorder.record(alarm(1))
    log = directory / "ledger.sqlite3-wal"
    data = bytearray(log.read_bytes())
    data[HEADER + FRAME_HEADER + 100] ^= 1
    log.write_bytes(data)
    with pytest.raises(StoreFailed, match=f"was handed over to the key {new.key.key_id}"):
        async with opened(booth):
            pass
    async with opened(booth):
        pass
    assert verify_ledger(directory, identity.device_keys()).seq == (6 if begun else 4)


def opened(booth: Booth) -> Any:
    """The ledger as the agent opens it."""
    setup = booth.setup()
    identity = setup.identity()
    identity.settle()
    signer = identity.signer(handed_over(setup.ledger / "ledger.sqlite3"))
    keys = identity.device_keys()
    return open_ledger(setup.ledger, str(setup.booth), signer, SystemClock(), "1.0", lambda *_: None, device_keys=keys)


class Killed(BaseException):
    """In place of SIGKILL: nothing of ours catches it."""


class Killing:
    """Ends before the n-th time that a file of the identity is made or gets another name; what came before is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.left = at
        for name in ("replace", "open"):
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if "booth." in str(arguments[0]):
                if self.left == 0:
                    raise Killed
                self.left -= 1
            return real(*arguments, **named)

        return call


async def kill_at(step: int, monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]) -> bool:
    """Whether `work` was over before it came to that step."""
    with monkeypatch.context() as patched:
        Killing(patched, step)
        try:
            result = work()
            if asyncio.iscoroutine(result):
                await result
        except Killed:
            return False
    return True


async def test_killed_at_any_step_the_booth_starts_and_the_rotation_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = promoted = False
    steps = 0
    while not (over and promoted):
        folder = tmp_path / str(steps)
        create_identity(folder, "booth", SpiffeId.parse(BOOTH), NOW)
        create_identity(folder / "gw", "main", SpiffeId.parse("spiffe://uslrd/gateway/main"), NOW, ("localhost",))
        booth = Booth.__new__(Booth)
        booth.folder, booth.key, booth.config = folder, "booth.key", folder / "booth.yaml"
        booth.write("127.0.0.1:1")
        async with opened(booth):
            pass
        over = await kill_at(steps, monkeypatch, lambda b=booth: rotate(b.setup(), SystemClock(), "1.0"))  # type: ignore[misc]
        async with opened(booth):
            pass
        await rotate(booth.setup(), SystemClock(), "1.0")
        handed = handed_over(folder / "ledger" / "ledger.sqlite3")
        assert handed is not None
        promoted = await kill_at(steps, monkeypatch, lambda b=booth: b.setup().identity().promote())  # type: ignore[misc]
        async with opened(booth):
            pass
        booth.setup().identity().promote()
        identity = booth.setup().identity()
        assert identity.current().key.key_id == handed.key == certificate_id(folder / "booth.crt")
        assert not list(folder.glob("*.next"))
        assert verify_ledger(folder / "ledger", identity.device_keys()).seq >= 4
        steps += 1
    assert steps > 4

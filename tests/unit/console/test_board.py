"""What the page knows while things beside it fail."""

import asyncio
from pathlib import Path

import pytest

from edge_agent.console.board import LIST_OLD_S, Board, Listed
from edge_agent.console.tail import Records
from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.errors import EdgeAgentError, StoreCorrupt, StoreFailed
from hardware_sim.stepped import START_UTC

NOW_US = round(START_UTC.timestamp() * 1e6)


class Clock:
    def now(self) -> Instant:
        return Instant(START_UTC, 0, ClockState.SYNCHRONISED)

    def monotonic(self) -> float:
        return 0.0


def no_ledger() -> Records:
    raise StoreFailed("there is no ledger yet", "start the agent")


@pytest.mark.parametrize(
    ("says", "listed"),
    [
        ((None, None), Listed()),
        ((7, NOW_US - 5_000_000), Listed(7, NOW_US // 1000 - 5000)),
        (
            (7, NOW_US - round(LIST_OLD_S + 1) * 1_000_000),
            Listed(7, (NOW_US - round(LIST_OLD_S + 1) * 10**6) // 1000, True),
        ),
        ((7, NOW_US + 9_000_000), Listed(7, NOW_US // 1000 + 9000)),
        ((0, None), Listed(0, None, old=True)),
        (StoreCorrupt("not what was written"), Listed(fault="not what was written")),
    ],
    ids=["none was told", "confirmed", "old", "of a clock that was ahead", "never confirmed", "damaged"],
)
async def test_what_the_port_expects_is_told_whatever_else_fails(
    tmp_path: Path, says: tuple[int | None, int | None] | EdgeAgentError, listed: Listed
) -> None:
    def read_list() -> tuple[int | None, int | None]:
        if isinstance(says, EdgeAgentError):
            raise says
        return says

    board = Board(tmp_path, no_ledger, read_list, Clock())
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        following = group.create_task(board.follow())
        await board.changed(0)
        following.cancel()
    assert board.listed == listed
    assert board.health.fault == "there is no ledger yet"
    assert board.health.disk_free

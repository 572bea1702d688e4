"""A ledger's file that goes away under a running agent: writes to it would be gone with the process."""

import pytest

from edge_agent.domain.errors import StoreFailed
from tests.integration.ledger.conftest import Booth, alarm


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_is_deleted_under_the_agent_takes_no_more(booth: Booth, replaced: bool) -> None:
    async with booth.open() as ledger:
        await ledger.recorder.record(alarm(1))
        path = booth.directory / "ledger.sqlite3"
        path.rename(path.with_suffix(".away"))
        if replaced:
            path.touch()
        with pytest.raises(StoreFailed, match="deleted or replaced"):
            await ledger.recorder.record(alarm(2))

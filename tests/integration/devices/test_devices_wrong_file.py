"""A mistake in the settings file keeps nobody from the devices that it does not concern."""

import pytest

from tests.integration.devices.command_booth import Booth, run
from tests.integration.devices.conftest import BACKGROUND


def test_a_mistake_elsewhere_is_a_warning(booth: Booth, capsys: pytest.CaptureFixture[str]) -> None:
    booth.expects = ["plate", "nonsense"]
    booth.add("portal", "rapiscan_vm250", BACKGROUND)
    for path in (booth.folder / "keys").iterdir():
        path.unlink()
    status, said, told = run(capsys, "list", booth.path)
    assert status == 0
    assert "  portal                lane 1: rapiscan_vm250 at " in said
    assert "warning: the agent will not start with this file; none of them is about a device" in told
    assert "lanes.0.expects.0: the lane expects plate" in told
    assert "identity.certificate" in told
    status, said, told = run(capsys, "probe", booth.path, "--seconds", 1)
    assert (status, "portal: SPEAKS" in said) == (0, True)
    assert "lanes.0.expects.1" in told


def test_a_device_with_a_mistake_is_left_out(booth: Booth, capsys: pytest.CaptureFixture[str]) -> None:
    booth.add("portal", "rapiscan_vm250", BACKGROUND)
    booth.at("again", "barcode_scanner", str(booth.folder / "portal"))
    booth.row({"id": "x-ray", "driver": "no_such"})
    status, said, told = run(capsys, "probe", booth.path, "--seconds", 0.5)
    assert (status, "portal: SPEAKS" in said) == (1, True), "not all of them speak"
    assert "left out: again, x-ray" in told
    assert "there is no driver 'no_such'" in told
    assert run(capsys, "probe", booth.path, "portal", "--seconds", 0.5)[0] == 0
    status, _, told = run(capsys, "probe", booth.path, "x-ray")
    assert (status, told.count("there is no driver 'no_such'")) == (2, 2)
    status, _, told = run(capsys, "probe", booth.path, "absent")
    assert (status, "there is no device 'absent'" in told) == (2, True)


@pytest.mark.parametrize("ledger", ["", "ledger: 7\n"])
def test_without_a_ledger_nobody_can_tell_whether_the_agent_runs(
    booth: Booth, capsys: pytest.CaptureFixture[str], ledger: str
) -> None:
    booth.at("portal", "rapiscan_vm250", "/dev/absent")
    booth.path.write_text(booth.path.read_text().replace("ledger:\n  directory: ledger\n", ledger))
    status, said, told = run(capsys, "list", booth.path)
    assert (status, "  portal " in said) == (0, True)
    assert "whether this booth's agent runs cannot be told: stop it first" in told


def test_a_file_that_is_none(booth: Booth, capsys: pytest.CaptureFixture[str]) -> None:
    booth.path.write_text("lanes: [")
    for command in ("list", "probe"):
        status, _, told = run(capsys, command, booth.path)
        assert (status, "not YAML" in told) == (2, True)
    booth.path.write_text("lanes: 7\n")
    assert run(capsys, "list", booth.path)[0] == 0

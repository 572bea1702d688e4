"""Without an extra, a command says which one it needs; what a back-office needs works without any."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys
sys.modules.update(dict.fromkeys({missing!r}))
from {module} import main
sys.exit(main({arguments!r}))
"""
BOOTH = ("cv2", "numpy", "onnxruntime", "serial")
SIM = ("PIL", "aiohttp", "numpy")


def run(module: str, missing: tuple[str, ...], *arguments: str) -> tuple[int, str]:
    code = WITHOUT.format(missing=list(missing), module=module, arguments=list(arguments))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [("read", "x.jpg"), ("check", "x.yaml"), ("run", "x.yaml")])
def test_a_booths_command_names_the_extra(arguments: tuple[str, ...]) -> None:
    status, said = run("edge_agent.cli", BOOTH, *arguments)
    assert status == 2
    assert "pip install 'edge-agent[booth]'" in said
    assert "Traceback" not in said


def test_the_simulator_names_its_extra() -> None:
    status, said = run("hardware_sim.cli", SIM, "run", "quiet")
    assert status == 2
    assert "pip install 'edge-agent[sim]'" in said


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("port_gateway.cli", ("keys", "show", "absent.crt")),
        ("edge_agent.cli", ("keys", "show", "absent.crt")),
        ("hardware_sim.cli", ("scenarios",)),
    ],
)
def test_what_needs_no_extra(module: str, arguments: tuple[str, ...]) -> None:
    _, said = run(module, BOOTH + SIM, *arguments)
    assert "not installed" not in said
    assert "Traceback" not in said

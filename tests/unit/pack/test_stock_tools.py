"""The commands of docs/evidence-pack.md that need no script: run as they stand there."""

import subprocess
from pathlib import Path

import pytest

from tests.unit.pack.small import Small, flip

PAGE = Path(__file__).parents[3] / "docs" / "evidence-pack.md"


def shown() -> str:
    """The block after "Without any script"."""
    return PAGE.read_text().partition("**Without any script**")[2].split("```")[1]


def run(pack: Path) -> tuple[int, str]:
    command = ["sh", "-e", "-c", shown()]
    done = subprocess.run(
        command, cwd=pack, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=False, timeout=60
    )
    return done.returncode, done.stdout.decode() + done.stderr.decode()


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("", "Verified OK"),
        ("MANIFEST", "Verification failure"),
        ("MANIFEST.sig", "Verification failure"),
        ("events/0000000003.envelope", "events/0000000003.envelope: FAILED"),
        ("README.html", "README.html: FAILED"),
    ],
)
def test_openssl_and_sha256sum_alone(tmp_path: Path, file: str, said: str) -> None:
    pack = Small(tmp_path).pack()
    if file:
        flip(pack / file, -1)
    status, output = run(pack)
    assert (status == 0) is (not file)
    assert said in output

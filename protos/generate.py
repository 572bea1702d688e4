"""Regenerate edge_agent/wire/v1alpha1 from the protobuf files: `make proto`; `--check` only compares."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = Path("edge_agent/wire/v1alpha1")
INIT = '"""Generated from protos/ by `make proto`. Do not edit."""\n'


def generate(root: Path, out: Path) -> None:
    protos = sorted(str(p.relative_to(root / "protos")) for p in (root / "protos").glob("**/*.proto"))
    outputs = [f"--{kind}_out={out}" for kind in ("python", "grpc_python")]
    outputs += [f"--{kind}_out=quiet:{out}" for kind in ("mypy", "mypy_grpc")]
    scripts = str(Path(sys.executable).parent)
    command = [sys.executable, "-m", "grpc_tools.protoc", "-Iprotos", *outputs, *protos]
    subprocess.run(command, cwd=root, check=True, env={"PATH": scripts})
    (out / PACKAGE / "__init__.py").write_text(INIT)
    for stub in (out / PACKAGE).glob("*_grpc.py*"):
        if not any(line.startswith("service ") for line in _source(root, stub)):
            stub.unlink()


def _source(root: Path, stub: Path) -> list[str]:
    name = stub.name.split("_pb2")[0] + ".proto"
    return (root / "protos" / PACKAGE / name).read_text().splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    root = options.root.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        generate(root, out)
        fresh = {p.name: p.read_bytes() for p in (out / PACKAGE).iterdir()}
    committed = {p.name: p.read_bytes() for p in (root / PACKAGE).glob("*.py*")}
    if options.check:
        differing = sorted(n for n in fresh.keys() | committed.keys() if fresh.get(n) != committed.get(n))
        if differing:
            sys.exit(f"generated code differs from protos/ ({', '.join(differing)}): run `make proto`")
        return
    for name in committed.keys() - fresh.keys():
        (root / PACKAGE / name).unlink()
    (root / PACKAGE).mkdir(exist_ok=True)
    for name, data in fresh.items():
        (root / PACKAGE / name).write_bytes(data)


if __name__ == "__main__":
    main()

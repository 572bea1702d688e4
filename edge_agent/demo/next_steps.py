"""What a person can do with a demo's run once it is over: commands for each of the three users. Pure."""

from pathlib import Path
from shlex import quote


def next_steps(run: Path, programs: Path, on_path: bool, gateway: str, inspection_id: str) -> list[str]:
    """Lines that work as they stand, from any folder.

    `programs`: the folder of the commands; `on_path`: the shell finds them by itself. `gateway`: host:port at which the
    gateway of the run's settings listens.
    """
    reads = "--gateway-certificate keys/gateway.crt --key keys/back-office.key --certificate keys/back-office.crt"
    path = [] if on_path else [f"  export PATH={quote(str(programs))}:$PATH"]
    return [
        "What next? The commands work as they stand, once you are in the folder of this run:",
        "",
        f"  cd {quote(str(run))}",
        *path,
        "",
        "You run booths (docs/operate.md):",
        "  edge-agent check booth.yaml            # the settings; a mistake is told with its line: make one, and see",
        "  edge-agent ledger status booth.yaml    # what the booth holds, and what the port has of it",
        "  edge-agent ledger check booth.yaml     # every signature and the chain",
        "",
        "You integrate (docs/simulator.md):",
        "  hardware-sim score simulator/truth.jsonl received.jsonl    # what arrived, against what was true",
        "  hardware-sim run all-devices --out lane                    # a lane of your own, with every device",
        "",
        "You consume the stream (docs/wire.md, docs/evidence-pack.md):",
        f"  port-gateway export gateway.yaml {quote(inspection_id)} pack && sh pack/VERIFY.sh    # for a stranger",
        "  port-gateway serve gateway.yaml        # the port again; in another terminal, in this folder:",
        f"  port-gateway tail --gateway {gateway} --from 0 {reads}",
    ]

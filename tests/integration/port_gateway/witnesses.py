"""Real witnesses over real HTTP: each in a thread of the test, or as a command of its own."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import apsw

from edge_agent.domain.clock import SystemClock
from edge_agent.wire.cosignature import VerifierKey, log_key, witness_key
from edge_agent.wire.identity import certificate_key, identity_of
from edge_agent.wire.witness_policy import Policy
from port_gateway.config_witnesses import asked
from port_gateway.trees import Receipts
from port_gateway.witness_command.journal import Journal, make_journal
from port_gateway.witness_command.server import Cosigner, WitnessServer
from port_gateway.witness_command.settings import load_key, make_key
from port_gateway.witnesses import Witnesses, Witnessing
from tests.integration.port_gateway.desk import Desk
from tests.unit.port_gateway.signing import Party


def gateway_key(gateway: Party) -> VerifierKey:
    return log_key(gateway.identity, certificate_key(gateway.certificate))


@dataclass
class Witness:
    """One that cosigns for a gateway."""

    key: VerifierKey
    journal: Journal
    address: str

    def line(self, name: str) -> str:
        """Of a policy."""
        return f"witness {name} {self.key} {self.address}\n"


@contextlib.contextmanager
def witness(folder: Path, gateway: Party, name: str = "witness.example/w1") -> Iterator[Witness]:
    """Serves while the block runs. In the same folder it goes on with its state."""
    folder.mkdir(exist_ok=True)
    if not (folder / "state.sqlite").exists():
        make_journal(folder / "state.sqlite")
        make_key(folder / "witness.key")
    key, journal = load_key(folder / "witness.key"), Journal(folder / "state.sqlite")
    server = WitnessServer(("127.0.0.1", 0), Cosigner(name, key, [gateway_key(gateway)], journal, SystemClock()))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Witness(witness_key(name, key.public_key()), journal, f"http://127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        journal.close()


class Command:
    """`port-gateway witness serve` as a process."""

    def __init__(self, settings: Path) -> None:
        command = [sys.executable, "-m", "port_gateway", "witness", "serve", str(settings), "--json"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ, text=True
        )
        assert self.process.stdout is not None
        self.ready = json.loads(self.process.stdout.readline())

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


EVERY_S = 600.0


class WitnessDesk(Desk):
    """A chain in an inbox whose receipts are cosigned."""

    def policy(self, *lines: str, quorum: str = "") -> Policy:
        """Written as the gateway's, and read again. `quorum` is that of a group: any, all, or a number."""
        names = [line.split()[1] for line in lines]
        group = f"group enough {quorum or 'all'} {' '.join(names)}\nquorum enough\n"
        self.path.write_text("".join(lines) + group)
        return asked(self.path)

    @property
    def path(self) -> Path:
        return self.port.folder / "witnesses.policy"

    def witnesses(self, policy: Policy, timeout_s: float = 10) -> Witnesses:
        gateway = self.port.gateway
        receipts = Receipts(identity_of(gateway.certificate), gateway.key, SystemClock())
        witnessing = Witnessing(receipts, gateway.certificate_der, policy, EVERY_S, timeout_s)
        return Witnesses(self.store, witnessing, SystemClock())

    def turn(self, witnesses: Witnesses) -> list[float]:
        """One round, without threads."""
        witnesses.turn()
        return [courier.turn() for courier in witnesses.couriers]

    def faults(self) -> set[str]:
        with self.store.reading() as db:
            return {str(row[0]) for row in db.execute("SELECT code FROM witness_fault")}

    def alarms(self) -> list[tuple[str, str]]:
        with self.store.reading() as db:
            return [(str(code), str(detail)) for code, detail in db.execute("SELECT code, detail FROM alarm")]

    def config(self) -> Path:
        path = self.port.write_config()
        path.write_text(path.read_text() + f"witnesses: {{policy: {self.path.name}}}\n")
        return path


def statements(desk: Desk, *texts: str) -> None:
    """Somebody's hand in the inbox."""

    def run(text: str, db: apsw.Connection) -> None:
        db.execute(text)

    for text in texts:
        desk.store.submit(partial(run, text)).result()

"""The ground truth: one JSON object a truck, on disk before the next one comes."""

import fcntl
import json
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.world.passage import Passage
from hardware_sim.world.truck import Container, Truck

Record = dict[str, object]
Said = Mapping[str, Mapping[str, object]]


def truth_of(
    passage: Passage,
    utc: Callable[[float], datetime],
    said: Said,
    photos: Mapping[str, str] = MappingProxyType({}),
    unknown: Collection[str] = (),
) -> Record:
    """Everything that was so about one truck. `said` holds what each device said of it, by the device's name;
    `photos` the file that a camera showed in the truck's place. What is on a photo the world does not know: views
    ("plate", "container") in `unknown` were photos, and what they would show is left out as null."""
    truck, cargo = passage.truck, passage.truck.cargo
    portal = next((s for s in said.values() if "expected_gamma_alarm" in s), {})
    plate = None if "plate" in unknown else truck.plate
    container_known = "container" not in unknown
    return {
        "index": truck.index,
        "id": truck.id,
        "lane": truck.lane,
        "arrived": _iso(utc(passage.arrives)),
        "portal_entered": _iso(utc(passage.enters)),
        "portal_left": _iso(utc(passage.clears)),
        "departed": _iso(utc(passage.departs)),
        "plate": plate.text if plate else None,
        "plate_painted": plate.painted if plate else None,
        "region": plate.region if plate else None,
        "trailer_plate": truck.trailer_plate.text if truck.trailer_plate else None,
        "container_code": truck.container_code if container_known else None,
        "size_type": truck.size_type if container_known else None,
        "containers": [_container(c) for c in truck.containers] if container_known else [],
        "seal": truck.seal,
        "seals": [seal.number for seal in truck.seals],
        "seal_opened": truck.seal_opened,
        "tag": truck.tag,
        "gross_kg": truck.gross_kg,
        "length_m": truck.length_m,
        "speed_kmh": round(passage.speed_at_portal() * 3.6, 2),
        "night": truck.night,
        "rain": truck.rain,
        "declared": _declared(truck),
        "radiation": {
            "source": cargo.kind.value,
            "gamma_cps": cargo.gamma_cps,
            "neutron_cps": cargo.neutron_cps,
            "shielding": cargo.shielding,
            "nuclide": cargo.nuclide,
            "expected_gamma_alarm": portal.get("expected_gamma_alarm"),
            "expected_neutron_alarm": portal.get("expected_neutron_alarm"),
        },
        "devices": {name: dict(values) for name, values in said.items()},
        "photos": dict(photos),
    }


def _container(container: Container) -> Record:
    seal = container.seal
    return {
        "code": container.code,
        "size_type": container.size_type,
        "seal": {"number": seal.number, "opened": seal.opened} if seal else None,
    }


def _declared(truck: Truck) -> Record:
    """What the port was told beforehand, and in what it differs from what came."""
    real: Record = {
        "plate": truck.plate.text if truck.plate else None,
        "container_codes": [c.code for c in truck.containers],
        "seals": [seal.number for seal in truck.seals],
        "gross_kg": truck.gross_kg,
    }
    told = truck.declared
    stated: Record = {
        "plate": told.plate,
        "container_codes": None if told.container_codes is None else list(told.container_codes),
        "seals": None if told.seals is None else list(told.seals),
        "gross_kg": told.gross_kg,
    }
    declared = {name: real[name] if value is None else value for name, value in stated.items()}
    return {**declared, "differs": [name for name, value in declared.items() if value != real[name]]}


class TruthFile:
    """Appends records to `truth.jsonl`, each on disk when `write` returns. The folder is this run's from the beginning;
    a file of an earlier run is replaced by `begin`."""

    def __init__(self, path: Path) -> None:
        """Raises SettingsInvalid when it cannot be written, or another run still writes there."""
        self.path = path
        self._begun = False
        self._made = not path.exists(), not path.parent.exists()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._file.close()
                raise SettingsInvalid(
                    f"{path.parent} is the folder of another run that still goes on", "choose another folder with --out"
                ) from None
        except OSError as error:
            raise SettingsInvalid(
                f"{path}: the truth cannot be written: {error.strerror}", "choose another folder with --out"
            ) from None

    def begin(self) -> None:
        """Empty the file."""
        self._file.truncate(0)
        self._begun = True

    def write(self, record: Record) -> None:
        """Raises SettingsInvalid when it cannot: a score would count the trucks that are missing from the truth."""
        try:
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise SettingsInvalid(
                f"{self.path}: the truth cannot be written: {error.strerror}",
                "make room and run it anew, or choose another folder with --out",
            ) from None

    def close(self) -> None:
        with suppress(OSError):  # of a disk that is full: `write` has told
            self._file.close()

    def discard(self) -> None:
        """Close, and leave what was there before: nothing was played."""
        file, folder = self._made
        if file or self._begun:
            self.path.unlink(missing_ok=True)
        self._file.close()
        if folder:
            with suppress(OSError):  # something else lies in it
                self.path.parent.rmdir()


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

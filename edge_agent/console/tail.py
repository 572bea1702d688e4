"""The last vehicles, read from the end of the ledger as it grows. Nothing here writes.

What stands in the ledger is shown, not verified: that is what `edge-agent ledger check` is for.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from google.protobuf.message import DecodeError

from edge_agent.console.profile import Profile, read_profile
from edge_agent.wire.envelope import read_envelope
from edge_agent.wire.refused import Refused
from edge_agent.wire.v1alpha1 import event_pb2 as wire
from edge_agent.wire.v1alpha1.findings_pb2 import DecisionRecorded, FindingsAdded

# Vehicles in the list; the ledger and the port hold the rest.
MAX_VEHICLES = 40
# How far back a start looks for them. A vehicle makes five to ten events, a flapping device many more.
LOOK_BACK = 4_000
BATCH, BATCH_BYTES = 200, 4 * 1024 * 1024
# Of one vehicle, whatever the port sends.
MAX_ADDED = 50
# A picture is some 100 kB, a quick look some MB.
MAX_PICTURE = 16 * 1024 * 1024
MAX_PROFILE = 16 * 1024 * 1024
PICTURES = ("image/jpeg", "image/png")


class Extent(Protocol):
    """What the ledger holds."""

    @property
    def oldest(self) -> int: ...

    @property
    def newest(self) -> int: ...


class Records(Protocol):
    """The ledger, read only. Calls block, and may be made from any thread. Each raises EdgeAgentError."""

    def extent(self) -> Extent: ...

    def after(self, seq: int, limit: int, max_bytes: int) -> Sequence[bytes]: ...

    def acked_through(self) -> int: ...

    def blob_states(self) -> Mapping[str, int]: ...

    def read_blob(self, sha256: bytes) -> bytes | None: ...

    def epoch_held(self) -> bytes: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class Vehicle:
    """One closed inspection, with what became known of it since."""

    seq: int
    inspection: wire.Inspection
    evidence: tuple[wire.EvidenceRef, ...]
    profile: Profile | None = None
    added: list[FindingsAdded] = field(default_factory=list)
    decision: DecisionRecorded | None = None
    scans: list[wire.Scan] = field(default_factory=list)

    def pictures(self) -> Iterator[wire.EvidenceRef]:
        """Those that a browser can show, the vehicle's own first."""
        late = (ref for scan in (*self.inspection.scans, *self.scans) for ref in scan.files)
        seen = set()
        for ref in (*self.evidence, *late):
            if ref.media_type in PICTURES and ref.size <= MAX_PICTURE and ref.sha256 not in seen:
                seen.add(ref.sha256)
                yield ref


class Tail:
    """Follows the ledger. One thread at a time; what it gives is not changed afterwards but by `follow`."""

    def __init__(self) -> None:
        self._epoch = b""
        self._seq = 0
        self.vehicles: OrderedDict[str, Vehicle] = OrderedDict()

    def follow(self, records: Records) -> bool:
        """Take in what is new; whether that changed a vehicle. Raises EdgeAgentError."""
        extent, epoch = records.extent(), records.epoch_held()
        if epoch != self._epoch or not extent.oldest - 1 <= self._seq <= extent.newest:
            # The beginning, or another ledger lies there now, or what is kept begins later.
            self._epoch, self._seq = epoch, max(extent.oldest - 1, extent.newest - LOOK_BACK, 0)
            self.vehicles.clear()
        changed = False
        while self._seq < extent.newest:
            envelopes = records.after(self._seq, BATCH, BATCH_BYTES)
            if not envelopes:
                break
            for envelope in envelopes:
                self._seq += 1
                changed |= self._take(envelope)
        while len(self.vehicles) > MAX_VEHICLES:
            self.vehicles.popitem(last=False)
        if changed:
            self._read_profiles(records)
        return changed

    def picture(self, sha256: bytes) -> str | None:
        """The media type of a picture of one of the vehicles; None of anything else."""
        found = (ref for vehicle in list(self.vehicles.values()) for ref in vehicle.pictures() if ref.sha256 == sha256)
        return next((ref.media_type for ref in found), None)

    def _take(self, envelope: bytes) -> bool:
        try:
            event = wire.Event.FromString(read_envelope(envelope)[0])
        except (Refused, DecodeError):
            return False  # `ledger check` names it
        kind = event.WhichOneof("body")
        if kind == "inspection_closed":
            inspection = event.inspection_closed.inspection
            self.vehicles[inspection.id] = Vehicle(event.seq, inspection, tuple(event.evidence))
            self.vehicles.move_to_end(inspection.id)
            return True
        if kind == "scan_received" and (vehicle := self.vehicles.get(event.scan_received.inspection_id)):
            if len(vehicle.scans) < MAX_ADDED:
                vehicle.scans.append(event.scan_received.scan)
            return True
        if kind == "findings_added" and (vehicle := self.vehicles.get(event.findings_added.inspection_id)):
            if len(vehicle.added) < MAX_ADDED:
                vehicle.added.append(event.findings_added)
            return True
        if kind == "decision_recorded" and (vehicle := self.vehicles.get(event.decision_recorded.inspection_id)):
            vehicle.decision = event.decision_recorded
            return True
        return False

    def _read_profiles(self, records: Records) -> None:
        for vehicle in self.vehicles.values():
            for ref in vehicle.evidence:
                if vehicle.profile is None and ref.kind == "radiation_profile":
                    data = records.read_blob(ref.sha256) if ref.size <= MAX_PROFILE else None
                    vehicle.profile = read_profile(data) if data is not None else Profile(())

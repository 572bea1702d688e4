"""What an observation is, in a kind and a few words, for events about things that belong to no vehicle."""

from typing import assert_never

from edge_agent.domain.observation import (
    Body,
    ContainerCodeRead,
    DeviceFault,
    DeviceSetup,
    DeviceStatus,
    Malformed,
    Opaque,
    PlateRead,
    Presence,
    RadiationAlarm,
    RadiationOccupancy,
    RadiationSample,
    ScanImage,
    SealRead,
    SealState,
    SpectroscopicMeasurement,
    TagRead,
    Weight,
)


def in_words(body: Body) -> tuple[str, str]:
    """The kind of an observation, and its identifier or value in words."""
    match body:
        case PlateRead():
            return "plate", body.text
        case ContainerCodeRead():
            return "container_code", body.code
        case SealRead():
            return "seal", body.number
        case SealState():
            return "seal_state", f"{body.number} {body.condition.value}"
        case TagRead():
            return "tag", body.text or body.epc
        case Weight():
            return "weight", f"{body.shown} {body.unit}{'' if body.settled else ' in motion'}"
        case RadiationSample():
            return "radiation_sample", " ".join(str(count) for count in body.counts)
        case RadiationAlarm():
            return "radiation_alarm", body.kind.value
        case RadiationOccupancy():
            return "radiation_occupancy", str(body.number)
        case SpectroscopicMeasurement():
            return "spectrum", ", ".join(nuclide.name for nuclide in body.nuclides) or "no nuclide"
        case ScanImage():
            return "scan", f"{body.scan_id} {body.vehicle_number}".rstrip()
        case Presence():
            return "presence", "occupied" if body.occupied else "empty"
        case DeviceFault():
            return "device_fault", body.fault.value
        case DeviceStatus():
            return "device_status", body.state.value
        case DeviceSetup():
            return "device_setup", " ".join(f"{name}={value}" for name, value in body.values)
        case Opaque():
            return "opaque", ",".join((body.tag, *body.fields))
        case Malformed():
            return "malformed", body.why
        case _:
            assert_never(body)

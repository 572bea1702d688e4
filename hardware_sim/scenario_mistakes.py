"""What no single setting of a scenario can say of itself: names, paths and ports that clash, faults that cannot be.

It is judged on the values as they were read, as far as they can be, so that it is reported with every other mistake.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from edge_agent.settings_file import Mistake, Place
from edge_agent.settings_numbers import whole_number
from hardware_sim.device import DeviceSettings
from hardware_sim.devices.catalogue import AnyDevice
from hardware_sim.fault_targets import targets_of
from hardware_sim.faults import ALL_KINDS, PORT
from hardware_sim.links.settings import LOCAL
from hardware_sim.misfit import misfit
from hardware_sim.port_settings import split_address
from hardware_sim.world.settings import DriveSettings, TrafficSettings

_T = TypeVar("_T")
_DEVICE: TypeAdapter[DeviceSettings] = TypeAdapter(AnyDevice)
_DRIVE = TypeAdapter(DriveSettings)
_TRAFFIC = TypeAdapter(TrafficSettings)
# A device of this kind connects to the address that it is given; all others are servers there.
_CLIENT = "imaging_dicom"
_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound


class _Part(NamedTuple):
    """A device or camera; `settings`: None if they do not fit a device."""

    place: Place
    name: str
    raw: dict[str, Any]
    settings: DeviceSettings | None


class _Listener(NamedTuple):
    place: Place
    name: str
    host: str
    port: int


def mistakes(values: object) -> Iterator[Mistake]:
    """Those of a whole scenario file, of which `values` was read."""
    lanes = list(_items(_mapping(values, "lanes"), ("lanes",)))
    devices, cameras = list[_Part](), list[_Part]()
    for place, _, lane in lanes:
        here = [
            _Part(*item, _fitting(_DEVICE, item[2])) for item in _items(_mapping(lane, "devices"), (*place, "devices"))
        ]
        seen = [_Part(*item, None) for item in _items(_mapping(lane, "cameras"), (*place, "cameras"))]
        yield from _lane_mistakes(place, lane, here)
        devices += here
        cameras += seen
    yield from _names_twice([*devices, *cameras])
    yield from _paths_twice(devices)
    yield from _ports_twice([*_listeners(devices), *_camera_listeners(cameras), *_proxy_listener(values)])
    yield from _fault_mistakes(values, devices, cameras)


def _lane_mistakes(place: Place, lane: dict[str, Any], devices: list[_Part]) -> Iterator[Mistake]:
    if not lane.get("devices") and not lane.get("cameras"):
        yield Mistake(place, "there is no device and no camera", "name at least one under `devices` or `cameras`")
    drive, traffic = _fitting(_DRIVE, lane.get("drive", {})), _fitting(_TRAFFIC, lane.get("traffic"))
    for at, name, _, settings in devices:
        if settings is None:
            continue
        if traffic and settings.holds_s and traffic.least_gap_s < settings.holds_s + 1.0:
            yield Mistake(
                at,
                f"{name} holds an occupancy for {settings.holds_s:.1f} s, and trucks may follow after"
                f" {traffic.least_gap_s:.1f} s: two would be one vehicle to it",
                "make gap_s longer or hold_in smaller",
            )
        if drive and not -drive.approach_m < settings.at_m < drive.clears_m:
            yield Mistake(
                (*at, "at_m"),
                f"{name} stands at {settings.at_m:g} m, and trucks are in the lane from {-drive.approach_m:g} to"
                f" {drive.clears_m:g} m",
                "move it, or change approach_m or clears_m of `drive`",
            )


def _names_twice(parts: list[_Part]) -> Iterator[Mistake]:
    seen: set[str] = set()
    for part in parts:
        if part.name in seen:
            yield Mistake(
                part.place,
                f"two devices or cameras are called {part.name}",
                "rename one: names hold for the whole file",
            )
        seen.add(part.name)


def _paths_twice(devices: list[_Part]) -> Iterator[Mistake]:
    owners: dict[str, str] = {}
    for place, name, link in _links(devices):
        path = link.get("path")
        if link.get("kind") == "pty" and isinstance(path, str):
            if (owner := owners.get(os.path.normpath(path))) is not None:
                wrong = f"two pseudo-terminals have the path {path}; the other is {owner}'s"
                yield Mistake((*place, "path"), wrong, "give each a path of its own")
            owners.setdefault(os.path.normpath(path), name)


def _ports_twice(listeners: list[_Listener]) -> Iterator[Mistake]:
    for number, one in enumerate(listeners):
        for other in listeners[:number]:
            if one.port == other.port != 0 and _overlap(one.host, other.host):
                every = "" if one.host == other.host else f", at {other.host}"
                yield Mistake(
                    one.place,
                    f"port {one.port} is {other.name}'s already{every}",
                    "choose another, or 0 for a free one",
                )
                break


def _overlap(one: str, other: str) -> bool:
    one, other = (LOCAL if host == "localhost" else host for host in (one, other))
    return one == other or one in _EVERY_ADDRESS or other in _EVERY_ADDRESS


def _fault_mistakes(values: object, devices: list[_Part], cameras: list[_Part]) -> Iterator[Mistake]:
    has_port = isinstance(values, dict) and values.get("port") is not None
    known = {part.name: part.settings for part in devices if part.settings is not None}
    kinds = targets_of(known, {camera.name: camera for camera in cameras}, port=has_port)
    unjudged = {part.name for part in devices if part.settings is None}
    faults = values.get("faults") if isinstance(values, dict) else None
    for number, fault in enumerate(faults if isinstance(faults, list) else []):
        target, kind = (fault.get("target"), fault.get("kind")) if isinstance(fault, dict) else (None, None)
        if not isinstance(target, str) or not isinstance(kind, str):
            continue
        place: Place = ("faults", number)
        if target == PORT and not has_port:
            yield Mistake(
                (*place, "target"),
                "there is no way to the port here",
                "say `port: {upstream: host:port}`, the gateway's",
            )
        elif kind == "forget" and target == PORT and not _mapping(values, PORT).get("forgets_to"):
            yield Mistake(
                (*place, "kind"), "`forget` needs a second gateway", "say where: `port: {…, forgets_to: host:port}`"
            )
        elif wrong := _misfit(target, kind, kinds, unjudged):
            yield Mistake((*place, wrong[0]), *wrong[1:])


def _misfit(
    target: str, kind: str, kinds: Mapping[str, frozenset[str]], unjudged: set[str]
) -> tuple[str, str, str] | None:
    """As `misfit`; a device whose settings do not fit is a target, and what can happen to it is not known yet. A kind
    that there is not at all is said of the setting itself."""
    if target in unjudged or (target in kinds and kind not in ALL_KINDS):
        return None
    return misfit(target, kind, {**kinds, **dict.fromkeys(unjudged, frozenset[str]())})


# --- the values as read -----------------------------------------------------------------------------------------------


def _links(devices: list[_Part]) -> Iterator[tuple[Place, str, dict[str, Any]]]:
    for part in devices:
        links = part.raw.get("links")
        for number, link in enumerate(links if isinstance(links, list) else []):
            if isinstance(link, dict):
                yield (*part.place, "links", number), part.name, link


def _listeners(devices: list[_Part]) -> Iterator[_Listener]:
    for part in devices:
        if part.raw.get("kind") != _CLIENT:
            yield from _listener(part.place, part.name, part.raw)
    for place, name, link in _links(devices):
        yield from _listener(place, name, link)


def _camera_listeners(cameras: list[_Part]) -> Iterator[_Listener]:
    for camera in cameras:
        yield from _listener(camera.place, camera.name, camera.raw)


def _listener(place: Place, name: str, raw: dict[str, Any]) -> Iterator[_Listener]:
    host, port = raw.get("host", LOCAL), whole_number(raw.get("port"))
    if isinstance(host, str) and port is not None:
        yield _Listener((*place, "port"), name, host, port)


def _proxy_listener(values: object) -> Iterator[_Listener]:
    listen = _mapping(values, PORT).get("listen")
    if isinstance(listen, str):
        try:
            yield _Listener((PORT, "listen"), "the way to the port", *split_address(listen))
        except ValueError:
            return  # said of the setting itself


def _fitting(adapter: TypeAdapter[_T], raw: object) -> _T | None:
    try:
        return adapter.validate_python(raw)
    except ValidationError:
        return None  # what is wrong is said of the settings themselves


def _mapping(values: object, key: str) -> dict[Any, Any]:
    found = values.get(key) if isinstance(values, dict) else None
    return found if isinstance(found, dict) else {}


def _items(named: dict[Any, Any], place: Place) -> Iterator[tuple[Place, str, dict[str, Any]]]:
    """Each entry that is a mapping itself; a name of 1 is a number to YAML."""
    for key, value in named.items():
        if isinstance(value, dict):
            yield (*place, str(key)), str(key), value

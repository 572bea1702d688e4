"""A list of expectations as its commands change it, and a booth that follows it page by page."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from edge_agent.domain.clock import ClockState, Instant
from edge_agent.domain.expected import ExpectationList, ExpectedCrossing, ExpectedPlate
from port_gateway.expected import Expectations, Given, Place
from port_gateway.store import Store

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LANE_1, LANE_2 = "spiffe://uslrd/booth/lane-1", "spiffe://uslrd/booth/lane-2"


@dataclass
class HandClock:
    """Stands until it is put forward; `set_s` is what someone set the wall clock by."""

    now_s: float = 0.0
    set_s: float = 0.0

    def now(self) -> Instant:
        return Instant(
            NOW + timedelta(seconds=self.now_s + self.set_s), round(self.now_s * 1e9), ClockState.SYNCHRONISED
        )

    def monotonic(self) -> float:
        return self.now_s


def crossing(id: str, plate: str = "", *booths: str, hours: float = 24.0, note: str = "") -> ExpectedCrossing:
    return ExpectedCrossing(
        id=id,
        expires=NOW + timedelta(hours=hours),
        booth_ids=booths,
        plates=(ExpectedPlate(plate or id.upper().replace("-", "")),),
        note=note,
    )


@dataclass
class ListAtPort:
    """The list over a store, changed as the commands do."""

    store: Store
    clock: HandClock = field(default_factory=HandClock)

    def __post_init__(self) -> None:
        self.list = Expectations(self.store, self.clock)

    def expect(self, *crossings: ExpectedCrossing) -> int:
        given = Given(crossings, "operator", "add", {LANE_1, LANE_2})
        return self.list.put(given).result(10).revision

    def remove(self, *ids: str) -> None:
        self.list.remove(ids, "operator", "remove").result(10)

    def expire(self) -> int:
        return self.list.expire().result(10)


@dataclass
class Follower:
    """A booth without a disk: what it was told, by id."""

    port: ListAtPort
    booth_id: str = LANE_1
    own: bool = True
    held: ExpectationList | None = None
    known: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    pages: int = 0
    wholes: int = 0

    def follow(self) -> "Follower":
        """Connects and takes everything that is for it."""
        place = self.port.list.begin(self.held)
        self.wholes += place.whole
        while True:
            page = self.port.list.page(self.booth_id, self.own, place)
            if page.whole and place.after == 0:
                self.known = {}
            assert not any(message.booth_ids for message in page.put)
            self.known |= {message.id: message.plates[0].text for message in page.put}
            for id in page.removed:
                self.known.pop(id, None)
                self.removed.append(id)
            self.pages += 1
            place = Place(page.list.revision, page.whole and not page.newest)
            if page.newest:
                self.held = page.list
                return self

    def ids(self) -> list[str]:
        return sorted(self.follow().known)

    def twin(self) -> "Follower":
        return replace(self, known=dict(self.known), pages=0, wholes=0)

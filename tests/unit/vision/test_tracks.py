"""Tracks from sightings at stated places and times."""

from collections.abc import Sequence

import numpy as np
import pytest

from edge_agent.domain.errors import RecogniserBroken
from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.domain.identifiers import check_digit_ok
from edge_agent.domain.observation import Box, CharacterRead, ContainerCodeRead, PlateRead
from edge_agent.vision.recogniser import ContainerCodeSighting, PlateSighting, Sighting
from edge_agent.vision.tracks import (
    MAX_FRAMES,
    MAX_TEXTS,
    MAX_TRACKS,
    PARKED_S,
    UNWATCHED_S,
    Report,
    Tracks,
    text_of,
)

CROP = np.zeros((2, 2, 3), np.uint8)
STEP = 0.25  # four looks a second


def plate(text: str, x: int = 400, y: int = 300, confidence: float = 0.9, like: float = 0.9) -> PlateSighting:
    characters = tuple(CharacterRead(c, confidence) for c in text)
    return PlateSighting(PlateRead(text, confidence, characters, Box(x, y, 100, 30), text, like), CROP, like)


def code(text: str, x: int = 400, confidence: float = 0.9) -> ContainerCodeSighting:
    characters = tuple(CharacterRead(c, confidence) for c in text)
    return ContainerCodeSighting(
        ContainerCodeRead(text, confidence, characters, Box(x, 100, 200, 40), check_digit_ok(text)), CROP
    )


class Camera:
    """Looks at a scene, and keeps what its tracks say. The evidence of a sighting names its look and text."""

    def __init__(self) -> None:
        self.tracks = Tracks()
        self.at = 100.0
        self.looks = 0
        self.said: list[Report] = []
        self.pictures = 0

    def look(self, *sightings: Sighting, after: float = STEP) -> list[Report]:
        self.at += after
        self.looks += 1

        def pictures(sighting: Sighting) -> tuple[Evidence, ...]:
            self.pictures += 1
            return (Evidence(EvidenceKind.FRAME, "text/plain", f"{self.looks} {text_of(sighting)}".encode()),)

        reports = self.tracks.looked(sightings, self.at, pictures)
        self.said += reports
        return reports

    def empty(self, seconds: float) -> list[Report]:
        return [r for _ in range(round(seconds / STEP)) for r in self.look()]

    @property
    def ends(self) -> list[Report]:
        return [r for r in self.said if r.ended]


def texts(reports: Sequence[Report]) -> list[str]:
    return [r.read.text if isinstance(r.read, PlateRead) else r.read.code for r in reports]


def test_one_plate_driving_by_is_one_track_said_early_and_each_second_not_forty_times() -> None:
    camera = Camera()
    for n in range(40):
        camera.look(plate("7KLM223", x=20 * n, y=100 + 10 * n))
    camera.empty(3)
    assert {r.track for r in camera.said} == {1}
    assert camera.said[0].at == 100 + STEP
    assert len(camera.said) <= 11
    assert sum(r.read.looks for r in camera.said) == 37  # up to the last second's
    (end,) = camera.ends
    assert (end.seen, end.first_at, end.at) == (40, 100 + STEP, 100 + 40 * STEP)
    assert end.read.looks == 0  # said already: what comes after the vehicle would be late


def test_a_weak_sighting_waits_for_a_second_one_or_for_its_end() -> None:
    camera = Camera()
    assert camera.look(plate("ABC123", like=0.2)) == []
    assert texts(camera.look(plate("ABC123", like=0.2))) == ["ABC123"]
    camera = Camera()
    camera.look(plate("ABC123", like=0.2))
    (end,) = camera.empty(3)
    assert (end.read.looks, end.seen, end.ended) == (1, 1, True)
    camera = Camera()
    camera.look(plate("ABC123", like=0.03))
    (end,) = camera.empty(3)
    assert (end.read.looks, end.seen, end.ended) == (0, 1, True)  # nothing that is to be said


def test_the_characters_of_all_looks_vote_and_the_result_is_a_text_that_was_read() -> None:
    camera = Camera()
    for text in ("7KLM223", "7KLN223", "7KIM223", "7KLM22B", "7KLM223"):
        camera.look(plate(text, confidence=0.8))
    (end,) = camera.tracks.close()
    assert texts([end]) == ["7KLM223"]
    # Of six looks no text has more than two, and the last character of the second is outvoted by the others.
    camera = Camera()
    for text in ("7KLM228", "7KLM228", "7KLM223", "7KLN223", "7KIM223", "7XLM223"):
        camera.look(plate(text, confidence=0.8))
    (end,) = camera.tracks.close()
    assert texts([end]) == ["7KLM223"]


def test_a_change_of_the_vote_is_said_at_once_with_the_pictures_of_its_best_look() -> None:
    camera = Camera()
    assert texts(camera.look(plate("7KLM22B", confidence=0.7))) == ["7KLM22B"]
    (report,) = camera.look(plate("7KLM223", confidence=0.95))
    assert texts([report]) == ["7KLM223"]
    assert report.evidence[0].data == b"2 7KLM223"
    assert report.read.confidence == 0.95


def test_the_lane_learns_all_looks_of_a_track_of_which_it_heard_two_texts() -> None:
    camera = Camera()
    camera.look(plate("A23126"))  # the beginning of the plate was in the shade
    for _ in range(4):
        camera.look(plate("34A23126", like=0.3))
    camera.empty(2)
    assert {t: sum(r.read.looks for r in camera.said if texts([r]) == [t]) for t in texts(camera.said)} == {
        "A23126": 1,
        "34A23126": 4,
    }
    assert camera.ends[0].votes == 4


def test_a_much_better_picture_is_said_at_once_and_a_slightly_better_one_with_the_next() -> None:
    camera = Camera()
    camera.look(plate("7KLM223", like=0.6))
    assert camera.look(plate("7KLM223", like=0.7)) == []
    (report,) = camera.look(plate("7KLM223", like=0.8))
    assert report.evidence[0].data == b"3 7KLM223"
    assert report.read.looks == 2


def test_each_report_carries_the_best_frame_so_far_not_the_last() -> None:
    camera = Camera()
    camera.look(plate("7KLM223", confidence=0.95))
    for _ in range(8):
        camera.look(plate("7KLM223", confidence=0.7))
    assert [r.evidence[0].data for r in camera.said] == [b"1 7KLM223"] * 3
    assert camera.said[-1].at > camera.said[0].at
    assert camera.pictures == 1  # no picture is made that nobody keeps


def test_the_same_plate_after_an_absence_is_a_new_track_and_after_a_short_one_is_not() -> None:
    camera = Camera()
    camera.look(plate("7KLM223"))
    camera.empty(1)
    camera.look(plate("7KLM223", x=500))
    assert camera.said[-1].track == 1
    camera.empty(3)
    camera.look(plate("7KLM223"))
    assert [r.track for r in camera.said if not r.ended][-1] == 2


def test_a_vehicle_that_stands_for_twenty_minutes_is_one_track_and_falls_silent() -> None:
    camera = Camera()
    for n in range(int(1200 / STEP)):
        camera.look(plate("7KLM223", x=400 + n % 3, y=300 + n % 2))  # the box shakes
    assert {r.track for r in camera.said} == {1}
    assert len(camera.said) <= PARKED_S + 2
    assert camera.said[-1].at <= 100 + PARKED_S + 2
    assert texts(camera.look(plate("7KLM223", x=440))) == ["7KLM223"]  # it drives off


def test_what_was_there_before_nobody_looked_is_not_said_again() -> None:
    camera = Camera()
    camera.look(plate("7KLM223"))
    camera.look(plate("7KLM223"), after=UNWATCHED_S + 50)
    camera.look(plate("7KLM223"), after=1.5)
    assert len(camera.said) == 1
    camera.empty(60)  # a truck stands before it
    camera.look(plate("7KLM223"))
    assert len(camera.said) == 1
    camera.look(plate("7KLM223", x=520))
    assert [r.track for r in camera.said] == [1, 1]


def test_another_plate_at_the_same_place_after_nobody_looked_is_another_vehicle() -> None:
    camera = Camera()
    camera.look(plate("7KLM223"))
    camera.look(plate("9XHS456"), after=UNWATCHED_S + 1)
    assert [(r.track, *texts([r])) for r in camera.said] == [(1, "7KLM223"), (2, "9XHS456")]


def test_the_same_plate_elsewhere_after_nobody_looked_is_said_again() -> None:
    camera = Camera()
    camera.look(plate("7KLM223"))
    camera.look(plate("7KLM223", x=900), after=UNWATCHED_S + 1)
    assert len(camera.said) == 2


def test_two_plates_in_view_are_two_tracks_also_when_they_are_nearly_the_same() -> None:
    camera = Camera()
    for n in range(8):
        camera.look(plate("FLT1001", x=100 + 5 * n), plate("FLT1002", x=800 + 5 * n))
    ends = camera.tracks.close()
    assert sorted(texts(ends)) == ["FLT1001", "FLT1002"]
    assert [e.seen for e in ends] == [8, 8]


def test_the_next_truck_of_a_fleet_is_not_the_one_before() -> None:
    camera = Camera()
    for n in range(4):
        camera.look(plate("FLT1001", x=100, y=500 + 40 * n))
    camera.look()
    for n in range(4):
        camera.look(plate("FLT1002", x=700, y=50 + 40 * n))
    assert sorted(texts(camera.tracks.close())) == ["FLT1001", "FLT1002"]


def test_a_part_of_a_plate_read_beside_the_whole_is_no_vehicle_of_its_own() -> None:
    camera = Camera()
    for _ in range(4):
        part = plate("36837", x=410)
        camera.look(plate("34A36837"), part)
    assert texts(camera.tracks.close()) == ["34A36837"]


def test_a_plate_that_is_cut_by_the_edge_goes_on_as_the_same_vehicle() -> None:
    camera = Camera()
    for n, text in enumerate(("34A36837", "34A36837", "34A368", "34A3")):
        camera.look(plate(text, x=400, y=600 + 15 * n))
    (end,) = camera.tracks.close()
    assert texts([end]) == ["34A36837"]
    assert end.seen == 4


def test_what_the_looks_of_late_read_is_said_though_another_text_has_the_vote() -> None:
    camera = Camera()
    for _ in range(8):
        camera.look(plate("7KLM223"))
    for _ in range(12):
        camera.look(plate("7KLM22", confidence=0.6, like=0.2))
    assert "7KLM22" in texts(camera.said)
    assert all(r.read.looks > 0 for r in camera.said)


def test_codes_with_right_check_digits_are_two_containers_and_a_cut_code_is_not() -> None:
    camera = Camera()
    camera.look(code("MSKU4135329"))
    camera.look(code("MSKU4135334"), after=0.5)  # the next container, where the first one was
    assert len({r.track for r in camera.said}) == 2
    camera = Camera()
    camera.look(code("MSKU413532"), plate("MSKU413532", x=410))
    camera.look(code("MSKU4135329"))
    ends = camera.tracks.close()
    assert [(type(e.read), *texts([e])) for e in ends] == [
        (ContainerCodeRead, "MSKU4135329"),
        (PlateRead, "MSKU413532"),
    ]


def test_what_is_kept_is_bounded() -> None:
    camera = Camera()
    for n in range(3 * MAX_TRACKS):
        camera.look(plate(f"{n * 7919 % 9973:04}XYZ", x=n * 300), after=0.01)
    assert len(camera.tracks._tracks) == MAX_TRACKS
    assert len(camera.ends) == 2 * MAX_TRACKS
    camera = Camera()
    for n in range(200):
        camera.look(plate(f"7KLM{n:03}"))
    assert len(camera.tracks._tracks) == 1
    assert len(camera.tracks._tracks[0].votes) <= MAX_TEXTS


def test_a_bad_misreading_at_the_same_place_is_the_same_vehicle_and_another_text_there_is_not() -> None:
    camera = Camera()
    for text in ("34A36837", "34A36837", "B4ABX117", "34A36837"):
        camera.look(plate(text))
    (end,) = camera.tracks.close()
    assert (*texts([end]), end.seen) == ("34A36837", 4)
    camera = Camera()
    camera.look(plate("34A36837"))
    camera.look(plate("TOYLMBQ"))
    assert len(camera.tracks.close()) == 2


def test_what_has_no_picture_yet_is_said_when_it_can_be_made() -> None:
    tracks = Tracks()

    def broken(_: Sighting) -> tuple[Evidence, ...]:
        raise RecogniserBroken("could not look for faces")

    with pytest.raises(RecogniserBroken):
        tracks.looked([plate("7KLM223"), plate("9XHS456", x=900)], 1.0, broken)
    reports = tracks.looked([plate("7KLM223", like=0.95), plate("9XHS456", x=900, like=0.95)], 1.25, lambda _: ())
    assert [(r.seen, r.read.looks) for r in reports] == [(2, 2), (2, 2)]


def test_pictures_are_made_when_a_track_is_said_and_few_frames_wait_for_it() -> None:
    camera = Camera()
    for n in range(4):
        camera.look(plate("7KLM223", like=0.5 + n / 20))
    assert camera.pictures == 1
    assert camera.look(plate("7KLM223", like=0.8))[0].evidence[0].data == b"5 7KLM223"
    camera = Camera()
    for n in range(MAX_TRACKS):
        camera.look(plate(f"{n * 7919 % 9973:04}XYZ", x=n * 300, like=0.1), after=0.01)
    assert camera.said == []
    assert camera.pictures == MAX_TRACKS - MAX_FRAMES
    camera.tracks.looked([], camera.at + 0.01, lambda _: (), 2)
    assert camera.pictures == MAX_TRACKS - 2

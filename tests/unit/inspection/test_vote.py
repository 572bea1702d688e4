from dataclasses import replace

from edge_agent.domain.evidence import Evidence, EvidenceKind
from edge_agent.inspection.vote import MAX_TEXTS, Ballots, vote_codes, vote_plate
from tests.unit.inspection.script import characters, code


def _plates(*reads: tuple[str, float]) -> Ballots:
    ballots = Ballots()
    for text, confidence in reads:
        ballots.add(text, confidence, characters(text, confidence), "front", ())
    return ballots


def _codes(*reads: tuple[str, float] | tuple[str, float, str]) -> Ballots:
    ballots = Ballots()
    for read in reads:
        ballots.add_code(code(*read), "rear", ())
    return ballots


def test_no_read_no_plate() -> None:
    assert vote_plate(Ballots()) is None
    assert vote_codes(Ballots()) == []


def test_three_frames_outvote_one() -> None:
    vote = vote_plate(_plates(("ABC128", 0.95), ("ABC123", 0.7), ("ABC123", 0.7), ("ABC123", 0.8)))
    assert vote is not None
    voted, ballot = vote
    assert (voted.text, voted.reads, voted.reads_other, voted.others) == ("ABC123", 3, 1, ("ABC128",))
    assert abs(voted.confidence - 2.2 / 3) < 1e-9
    assert ballot.best == 0.8


def test_lettering_does_not_outvote_the_plate() -> None:
    ballots = Ballots()
    for _ in range(3):
        ballots.add("TRUCK22", 0.99, (), "front", (), 0.2)
        ballots.add("ABC123", 0.8, (), "front", (), 0.9)
    vote = vote_plate(ballots)
    assert vote is not None
    assert vote[0].text == "ABC123"
    assert abs(vote[0].confidence - 0.8) < 1e-9


def test_unsure_looks_at_something_else_do_not_speak_against_a_clear_one() -> None:
    vote = vote_plate(_plates(("ABC123", 0.9), ("XYZ789", 0.4), ("XYZ789", 0.4)))
    assert vote is not None
    assert (vote[0].text, vote[0].others) == ("ABC123", ("XYZ789",))


def test_a_tie_goes_to_the_most_confident_read() -> None:
    vote = vote_plate(_plates(("AAA111", 0.5), ("AAA111", 0.5), ("BBB222", 1.0)))
    assert vote is not None
    assert vote[0].text == "BBB222"


def test_a_text_that_no_frame_showed_is_never_the_result() -> None:
    vote = vote_plate(_plates(("ABC12X", 0.9), ("ABCX23", 0.9), ("AXC123", 0.9)))
    assert vote is not None
    assert vote[0].text in {"ABC12X", "ABCX23", "AXC123"}


def test_the_check_digit_speaks_for_a_code() -> None:
    [(voted, _)] = vote_codes(_codes(("CSQU3054388", 0.9), ("CSQU3054388", 0.9), ("CSQU3054383", 0.9)))
    assert voted.vote.text == "CSQU3054383"
    assert voted.check_digit_ok
    assert voted.vote.others == ("CSQU3054388",)


def test_and_does_not_prove_it() -> None:
    reads = [("CSQU3054388", 0.9)] * 4 + [("CSQU3054383", 0.9)]
    [(voted, _)] = vote_codes(_codes(*reads))
    assert voted.vote.text == "CSQU3054388"
    assert not voted.check_digit_ok


def test_a_code_without_its_check_digit_is_the_same_code() -> None:
    [(voted, _)] = vote_codes(_codes(("CSQU305438", 0.9), ("CSQU3054383", 0.9)))
    assert voted.vote.text == "CSQU3054383"
    assert voted.vote.others == ("CSQU305438",)


def test_two_containers_of_one_series_are_two() -> None:
    codes = vote_codes(_codes(("MSKU0383250", 0.9), ("MSKU0383250", 0.9), ("MSKU0383266", 0.9)))
    assert [c.vote.text for c, _ in codes] == ["MSKU0383250", "MSKU0383266"]


def test_size_type_is_the_most_frequent() -> None:
    [(voted, _)] = vote_codes(
        _codes(("CSQU3054383", 0.9, "22G1"), ("CSQU3054383", 0.9, "42G1"), ("CSQU3054383", 0.9, "42G1"))
    )
    assert voted.size_type == "42G1"


def test_memory_is_bounded() -> None:
    ballots = Ballots()
    evidence = (Evidence(EvidenceKind.FRAME, "image/jpeg", b""),)
    for _ in range(3):
        ballots.add("KEPT99", 0.9, (), "front", evidence)
    for number in range(MAX_TEXTS * 3):
        ballots.add(f"N{number}", 0.5, (), "front", evidence)
    ranked = ballots.ranked()
    assert len(ranked) == MAX_TEXTS
    assert ranked[0].text == "KEPT99"


def test_a_read_counts_for_as_many_looks_as_it_stands_for() -> None:
    ballots = Ballots()
    ballots.add("ABC128", 0.95, (), "front", (), looks=2)
    ballots.add("ABC123", 0.9, (), "front", ())
    ballots.add("ABC123", 0.7, (), "front", (), looks=4)
    vote = vote_plate(ballots)
    assert vote is not None
    assert (vote[0].text, vote[0].reads, vote[0].reads_other) == ("ABC123", 5, 2)
    assert abs(vote[0].confidence - (0.9 + 4 * 0.7) / 5) < 1e-9
    codes = Ballots()
    codes.add_code(replace(code("MSKU4135329"), looks=7), "rear", ())
    assert vote_codes(codes)[0][0].vote.reads == 7

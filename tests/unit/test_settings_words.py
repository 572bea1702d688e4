"""Each kind of mistake in a settings file, as a person reads it."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_agent.domain.errors import SettingsInvalid
from edge_agent.settings_file import parse_settings


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Tcp(Part):
    kind: Literal["tcp"]
    port: Annotated[int, Field(ge=0, le=65535)] = 0


class Pty(Part):
    kind: Literal["pty"]
    path: Annotated[str, Field(min_length=1, max_length=3)]


class Gap(Part):
    at_s: int = 0


class Lane(Part):
    count: int | None = None
    speed: Annotated[float, Field(gt=0, lt=9)] = 1.0
    night: bool = False
    view: Literal["plate", "container"] = "plate"
    code: Annotated[str, Field(pattern="^[A-Z]+$")] = "A"
    gap: float | list[Gap] = 1.0
    tags: Annotated[list[str], Field(min_length=1, max_length=2)] = ["a"]
    links: dict[str, Annotated[Tcp | Pty, Field(discriminator="kind")]] = {}

    @model_validator(mode="after")
    def _fits(self) -> "Lane":
        if self.count == 13:
            raise ValueError("13 is refused: take 14")
        return self


class File(Part):
    lanes: dict[str, Lane]


def said(lane: str) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        parse_settings(f"lanes:\n  a:\n    {lane}\n", File, "file.yaml", page="docs/it.md")
    return str(caught.value)


@pytest.mark.parametrize(
    ("lane", "expected"),
    [
        ("coutn: 3", "3: lanes.a.coutn: no such setting\n  → did you mean count? there are: count, speed, night, view"),
        ("wheels: 3", "3: lanes.a.wheels: no such setting\n  → there are: count, speed, night, view"),
        ("count: many", "3: lanes.a.count: must be a whole number\n  → it is 'many': correct it"),
        ("count: 1.5", "must be a whole number\n  → it is 1.5: correct it"),
        ("count: on", "must be a whole number\n  → it is 'on': correct it"),
        ("count: true", "3: lanes.a.count: must be a number"),
        ("count: 13", "2: lanes.a: 13 is refused: take 14\n  → 1 mistake"),
        ("speed: 0", "must be more than 0\n  → it is 0: correct it"),
        ("speed: 9", "must be less than 9\n"),
        ("speed: .nan", "must be less than 9\n  → it is nan: correct it"),
        ("night: maybe", "must be true or false\n  → it is 'maybe': correct it"),
        ("view: plates", "must be 'plate' or 'container'\n  → did you mean plate?"),
        ("code: 12", "must be text\n  → it is 12: put it in quotes"),
        ("code: a", "must fit the pattern ^[A-Z]+$\n  → it is 'a': correct it"),
        (
            "tags: a",
            "must be a list\n  → put [ ] around it, or write each entry on a line of its own with `- ` before it",
        ),
        ("tags:", "must be a list\n  → it is empty: write [] if there is none, or take the line out"),
        ("view: PLATE", "must be 'plate' or 'container'\n  → did you mean plate?"),
        ("View: plate", "lanes.a.View: no such setting\n  → did you mean view?"),
        ("code: 2024-01-01", "must be text\n  → it is 2024-01-01: put it in quotes"),
        ("gap: [{at: 3}]", "3: lanes.a.gap.0.at: no such setting\n  → did you mean at_s?"),
        ("code: A\n  1.10: {count: many}", "4: lanes.1.10.count: must be a whole number"),
        ("code: A\n  true: {count: many}", "4: lanes.true.count: must be a whole number"),
        ("code: A\n  ~: {count: many}", "4: lanes.~.count: must be a whole number"),
        ("tags: []", "must have 1 or more entries"),
        ("tags: [a, b, c]", "must have 2 or fewer entries\n  → it is ['a', 'b', 'c']: correct it"),
        ("links: [{kind: tcp}]", "must be a mapping: lines of `name: value`\n  → it is a list: take away the `- `"),
        ("links:", "it is empty: indent what belongs to it further than its own line"),
        ("links: {x: tcp}", "it is 'tcp': write for instance {kind: …}; kinds are: pty, tcp"),
        ("links: {x: {}}", "3: lanes.a.links.x.kind: this setting is missing\n  → add it: one of pty, tcp"),
        (
            "links: {x: {kind: tcpp}}",
            "lanes.a.links.x.kind: there is no kind 'tcpp'\n  → did you mean tcp? there are: pty",
        ),
        ("links:\n      x:\n        kind: tcp\n        port: -1", "6: lanes.a.links.x.port: must be at least 0"),
        ("links: {x: {kind: tcp, prot: 1}}", "x.prot: no such setting\n  → did you mean port? there are: kind, port"),
        ("links: {x: {kind: pty}}", "lanes.a.links.x.path: this setting is missing\n  → add it"),
        ("links: {x: {kind: pty, path: ''}}", "must have 1 or more characters"),
        ("links: {x: {kind: pty, path: long}}", "must have 3 or fewer characters"),
        ("count: 1\n  \tnight: true", "4: not YAML: a character that YAML does not take here\n  → indent with spaces"),
        ("count: 1\n      night: true", "not YAML: a `name: value` stands where none can\n  → look at its indentation"),
        ("count: 1\n   night: true", "not YAML: it is indented otherwise than the lines that it belongs to"),
        ("count", "2: lanes.a: must be a mapping"),
        ("count: 1\n    night", "4: not YAML: a name without a colon\n  → write `name: value`"),
        ("code: 'A\n    count: 2\n", "3: not YAML: a quote that is not closed\n  → close it"),
    ],
)
def test_a_mistake_in_words(lane: str, expected: str) -> None:
    text = said(lane)
    assert expected in text
    assert "Input should" not in text
    assert "{'" not in text


def test_one_value_that_stands_for_two_is_one_mistake() -> None:
    assert said("speed: 0").count("must be") == 1


def test_an_empty_file_names_the_page_with_an_example() -> None:
    with pytest.raises(SettingsInvalid, match=r"the file is empty\n  → start from the example in docs/it\.md"):
        parse_settings("# nothing\n", File, "file.yaml", page="docs/it.md")


def test_where_a_number_or_a_list_may_stand_the_lists_own_mistake_is_told() -> None:
    assert "must be a number" not in said("gap: [{at: 3}]")
    assert "must be a number" in said("gap: [{at_s: 3}]\n    gap: many")


@pytest.mark.parametrize("password", ["a b", "a'b", 'a\\"b', "a\\nb"])
def test_a_password_of_any_characters_is_not_repeated(password: str) -> None:
    assert "it is 'rtsp://***@h/'" in said(f'count: "rtsp:/admin:{password}@h/"')


def test_a_long_value_is_cut_and_keeps_its_password() -> None:
    text = said(f"count: 'rtsp://admin:{'secret' * 20}@10.0.0.1/'")
    assert "secret" not in text
    assert len(max(text.splitlines(), key=len)) < 160

"""Which recogniser is opened, and for which countries."""

from pathlib import Path

import pytest

from edge_agent.config import VisionSettings
from edge_agent.domain.errors import ModelRefused
from edge_agent.domain.observation import PlateRead
from edge_agent.vision.frame import Frame
from edge_agent.vision.plate_code import PlateCodeRecogniser
from edge_agent.vision.ppocr import PpOcrRecogniser
from edge_agent.vision.recognisers import open_recogniser
from tests.unit.vision.striped import draw, empty, models


def test_each_name_opens_its_recogniser(tmp_path: Path) -> None:
    assert isinstance(open_recogniser("ppocr", 1), PpOcrRecogniser)
    assert isinstance(open_recogniser("own", 1, folder=models(tmp_path)), PlateCodeRecogniser)


def test_own_models_that_are_not_there_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="no description of model text_finder"):
        open_recogniser("own", folder=tmp_path)


def test_the_countries_of_the_settings_decide_what_a_zero_is(tmp_path: Path) -> None:
    folder = models(tmp_path)
    image = empty()
    draw(image, "AB12O45", 200, 250, 192, 48)  # AB12 OAB is British, AB 12045 Polish

    def read(settings: VisionSettings) -> PlateRead:
        (seen,) = open_recogniser("own", 1, countries=settings.countries, folder=folder).look(Frame(image))
        assert isinstance(seen.read, PlateRead)
        return seen.read

    polish = read(VisionSettings(countries=["pl"]))
    assert (polish.text, polish.as_read) == ("AB12045", "AB12O45")
    assert polish.characters[4].alternatives[0][0] == "O"
    assert read(VisionSettings(countries=["es"])).text == "AB12O45"


def test_a_country_of_which_no_series_is_known_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="'us', 'ca', 'mx'"):
        VisionSettings.model_validate({"countries": ["xx"]})

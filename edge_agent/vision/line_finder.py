"""Finds lines of text, whatever they say: the project's own detector for what container codes consist of.

Which of the lines are a code is left to their grouping (containers.py): a detector that is taught drawn codes alone
does not find those in photos. The areas of the model's map lie as far inside their lines as the plates' finder's.
"""

from pathlib import Path

from edge_agent.vision.frame import Image
from edge_agent.vision.model_file import DEFAULT_THREADS, Model, open_model
from edge_agent.vision.plate_code_finder import areas
from edge_agent.vision.text_finder import Map, TextRegion, finder_input

MODEL = "line_finder"


class LineFinder:
    """The detection model with its steps."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @classmethod
    def open(cls, threads: int = DEFAULT_THREADS, folder: Path | None = None) -> "LineFinder":
        """Raises ModelRefused if the model's file is not the stated one. `folder`: of another set of models."""
        return cls(open_model(MODEL, threads, folder))

    def find(self, image: Image, long_side: int, enlarge: float = 1.0, batch: Map | None = None) -> list[TextRegion]:
        """A picture's lines, surest first, looked at as text_finder.finder_size says for any short side.

        `batch`: what finder_input makes of the picture, if it was made already.
        """
        batch = finder_input(image, long_side, enlarge, short_side=0) if batch is None else batch
        (lines,) = self._model.run(batch)[0]
        return areas(lines, (batch.shape[2], batch.shape[3]), image.shape[0], image.shape[1])

"""Where a run may make folders."""

import os
from pathlib import Path

from edge_agent.domain.errors import SettingsInvalid


def check_folder(path: Path, own: Path, what: str) -> None:
    """`path` may be written: the folder that it is to lie in is there, or is to be made inside `own`, the run's.

    Raises SettingsInvalid otherwise: a folder that is missing elsewhere is more likely a slip than a wish.
    """
    parent, inside = (Path(os.path.normpath(folder.absolute())) for folder in (path.parent, own))
    if not parent.is_dir() and not parent.is_relative_to(inside):
        raise SettingsInvalid(f"{what}: there is no folder {parent}", "make it, or correct the path")

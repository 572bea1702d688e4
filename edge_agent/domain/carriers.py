"""What a seal or a tag is on, in English and Spanish, for every page and command that says it."""

from edge_agent.domain.sentences import LANGUAGES

# By carrier, with the place of a container behind a point; '' where it is not known.
ON: dict[str, tuple[str, str]] = {
    "tractor": ("on tractor {text}", "en el tractor {text}"),
    "trailer": ("on trailer {text}", "en el remolque {text}"),
    "container": ("on container {text}", "en el contenedor {text}"),
    "container.1": ("on the front container {text}", "en el contenedor delantero {text}"),
    "container.2": ("on the rear container {text}", "en el contenedor trasero {text}"),
    "chassis": ("on chassis {text}", "en el chasis {text}"),
    "equipment": ("on equipment {text}", "en el equipo {text}"),
    "seal": ("on seal {text}", "en el precinto {text}"),
    "": ("what it is on is not known", "no se sabe en qué va"),
}


def on_in_words(carrier: str, place: int, text: str, language: str = "en") -> str:
    """As an event's Belonging says it; `carrier` '' where it has none."""
    known = ON.get(f"{carrier}.{place}") or ON.get(carrier, ON[""])
    return known[LANGUAGES.index(language)].format(text=text).rstrip()

"""A truck as a person states it in a word or two, made into what a scenario takes."""

from typing import Any

# Where a plate is from if only its text is stated.
USUAL_REGION = "US-TX"


def written_out(stated: dict[str, Any]) -> dict[str, Any]:
    """`plate="MXR 7319"` or `"MXR 7319@US-AZ"`, `cargo="source"`: as a scenario has it. The rest stays as it is."""
    full = dict(stated)
    for name in ("plate", "trailer_plate"):
        if isinstance(text := full.get(name), str):
            painted, _, region = text.partition("@")
            full[name] = {"text": painted, "region": region or USUAL_REGION}
    if isinstance(kind := full.get("cargo"), str):
        full["cargo"] = {"kind": kind}
    return full

"""Why a fault cannot happen to a target, by name: what it would need."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from edge_agent.settings_words import one_of

# What a target must be or have for a fault to mean anything.
_NEEDS = {
    "drop": "messages that can be lost",
    "delay": "messages that can be late",
    "garble": "bytes of its own on a line",
    "split": "messages whose pieces it can send apart",
    "merge": "messages that can be gathered",
    "silence": "something that it says by itself",
    "wrong_checksum": "messages with a check value of their own",
    "hang_up": "a link that can be broken",
    "re_plug": "a link that can be pulled out",
    "wrong_baud": "a serial line with a rate, on which bytes are sent",
    "stuck_motion": "a scale that says when it is in motion",
    "tamper": "a portal that says when its housing is open",
    "background": "a portal that counts radiation",
    "misjudge": "a VM-250",
    "clock_skew": "a device that states the time by its own clock",
    **dict.fromkeys(("frozen", "black", "lens_flare"), "a camera"),
    **dict.fromkeys(("refuse", "slow", "half_open", "forget", "down"), "the target `port`, the way to the port"),
}


class Misfit(NamedTuple):
    """Why a fault cannot be: which of its keys is wrong, what is, and what could stand there."""

    key: Literal["target", "kind"]
    wrong: str
    remedy: str


def misfit(target: str, kind: str, kinds: Mapping[str, frozenset[str]]) -> Misfit | None:
    """Why a fault cannot happen to a target, if it cannot; `kinds` says what can happen to each."""
    if target not in kinds:
        return Misfit("target", f"there is no {target}", one_of(target, sorted(kinds)))
    if kind in kinds[target]:
        return None
    possible = ", ".join(sorted(kinds[target])) or "nothing"
    return Misfit("kind", f"{kind} cannot happen to {target}: it needs {_NEEDS[kind]}", f"what can: {possible}")

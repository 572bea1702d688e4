"""The words of a verdict, in English and Spanish, for every page and command that says one."""

from edge_agent.domain.finding import Decision, Recommendation, Severity
from edge_agent.domain.inspection import MissingReason
from edge_agent.domain.sentences import LANGUAGES

Texts = tuple[str, str]

SEVERITIES: dict[Severity, Texts] = {
    Severity.NOTICE: ("notice", "aviso"),
    Severity.WARNING: ("warning", "advertencia"),
    Severity.ALARM: ("ALARM", "ALARMA"),
}
RECOMMENDATIONS: dict[Recommendation, Texts] = {
    Recommendation.RELEASE: ("release", "liberar"),
    Recommendation.REFER: ("refer", "derivar"),
    Recommendation.HOLD: ("hold", "retener"),
}
DECISIONS: dict[Decision, Texts] = {
    Decision.RELEASE: ("released", "liberado"),
    Decision.REFER: ("referred", "derivado"),
    Decision.HOLD: ("held", "retenido"),
}
MISSING: dict[MissingReason, Texts] = {
    MissingReason.NOT_SEEN: ("nothing was seen", "no se vio nada"),
    MissingReason.COULD_NOT_LOOK: ("COULD NOT LOOK", "NO SE PUDO OBSERVAR"),
}
# Of an inspection's `outcome`, by its name on the wire.
OUTCOMES: dict[str, Texts] = {
    "complete": ("complete", "completo"),
    "incomplete": ("incomplete", "incompleto"),
    "abandoned": ("given up", "abandonado"),
}


def term(what: Severity | Recommendation | Decision | MissingReason | None, language: str = "en") -> str:
    """The word for it; '?' for what is not known."""
    match what:
        case Severity():
            texts = SEVERITIES[what]
        case Recommendation():
            texts = RECOMMENDATIONS[what]
        case Decision():
            texts = DECISIONS[what]
        case MissingReason():
            texts = MISSING[what]
        case None:
            return "?"
    return texts[LANGUAGES.index(language)]

"""What findings say to people, in English and Spanish. What stands in braces is a finding's parameter of that name.

English is what the record carries; the booth's page says either. Numbers and identifiers are the same in both.
"""

from edge_agent.domain.finding import Finding

LANGUAGES = ("en", "es")
# By key: English, Spanish.
SENTENCES: dict[str, tuple[str, str]] = {
    "radiation_alarm.gamma": (
        "The device {device} raised a gamma alarm.",
        "El aparato {device} dio una alarma gamma.",
    ),
    "radiation_alarm.neutron": (
        "The device {device} raised a neutron alarm.",
        "El aparato {device} dio una alarma de neutrones.",
    ),
    "radiation_alarm.nuclides": (
        "The device {device} raised an alarm and identified {nuclides}.",
        "El aparato {device} dio una alarma e identificó {nuclides}.",
    ),
    "radiation_cross_check": (
        "The counts of {device} rose {sigma} sigma above the background: an alarm by the agent's own reckoning.",
        "Las cuentas de {device} superaron el fondo en {sigma} sigma: una alarma según el cálculo propio del agente.",
    ),
    "radiation_disagreement.device": (
        "The device {device} raised a gamma alarm that its counts do not show ({sigma} sigma).",
        "El aparato {device} dio una alarma gamma que sus cuentas no muestran ({sigma} sigma).",
    ),
    "radiation_disagreement.counts": (
        "The device {device} raised no gamma alarm, though its counts show one ({sigma} sigma).",
        "El aparato {device} no dio alarma gamma, aunque sus cuentas la muestran ({sigma} sigma).",
    ),
    "seal_missing.declared": (
        "The declared seal {declared} was not found.",
        "No se encontró el precinto declarado {declared}.",
    ),
    "seal_missing.lane": (
        "No seal was found.",
        "No se encontró ningún precinto.",
    ),
    "seal_broken": (
        "The seal {seal} reports that it was opened or cut.",
        "El precinto {seal} indica que fue abierto o cortado.",
    ),
    "seal_broken.container": (
        "The seal {seal} of container {container} reports that it was opened or cut.",
        "El precinto {seal} del contenedor {container} indica que fue abierto o cortado.",
    ),
    "seal_other.declared.container": (
        "The seal {seal} was found on container {container}; {declared} is declared.",
        "Se encontró el precinto {seal} en el contenedor {container}; está declarado {declared}.",
    ),
    "seal_other.electronics.container": (
        "The seal {seal} of container {container} does not carry the number that it should.",
        "El precinto {seal} del contenedor {container} no lleva el número que debería.",
    ),
    "seal_other.undeclared.container": (
        "The seal {seal} was found on container {container}, and is not declared.",
        "Se encontró el precinto {seal} en el contenedor {container}; no está declarado.",
    ),
    "seal_other.declared": (
        "The seal {seal} was found; {declared} is declared.",
        "Se encontró el precinto {seal}; está declarado {declared}.",
    ),
    "seal_other.electronics": (
        "The seal {seal} does not carry the number that it should.",
        "El precinto {seal} no lleva el número que debería.",
    ),
    "seal_other.undeclared": (
        "The seal {seal} was found, and is not declared.",
        "Se encontró el precinto {seal}, que no está declarado.",
    ),
    "container_other.declared": (
        "The container {read} was read; {declared} is declared.",
        "Se leyó el contenedor {read}; está declarado {declared}.",
    ),
    "container_other.undeclared": (
        "The container {read} was read, and is not declared.",
        "Se leyó el contenedor {read}, que no está declarado.",
    ),
    "plate_other": (
        "The plate {read} was read; {declared} is declared.",
        "Se leyó la matrícula {read}; está declarada {declared}.",
    ),
    "not_read.plate": (
        "The declared plate {declared} was not read.",
        "No se leyó la matrícula declarada {declared}.",
    ),
    "not_read.container_code": (
        "The declared container {declared} was not read.",
        "No se leyó el contenedor declarado {declared}.",
    ),
    "check_digit": (
        "The container code {read} does not carry its own check digit: it is misread, or wrong on the container.",
        "El código de contenedor {read} no lleva su dígito de control: se leyó mal o está mal en el contenedor.",
    ),
    "weight_off": (
        "It weighs {kg} kg; {declared} kg are declared, {percent} % off.",
        "Pesa {kg} kg; están declarados {declared} kg, un {percent} % de diferencia.",
    ),
    "laden_declared_empty": (
        "Declared empty, it weighs {kg} kg: more than {limit} kg.",
        "Declarado vacío, pesa {kg} kg: más de {limit} kg.",
    ),
    "empty_declared_laden": (
        "Declared laden, it weighs {kg} kg: less than {limit} kg.",
        "Declarado con carga, pesa {kg} kg: menos de {limit} kg.",
    ),
    "could_not_look": (
        "{device} could not look: {why}.",
        "{device} no pudo observar: {why}.",
    ),
    "could_not_look.expectations": (
        "Whether this crossing was announced could not be looked up: {why}.",
        "No se pudo consultar si este cruce estaba anunciado: {why}.",
    ),
    "no_expectation": (
        "This crossing was not announced.",
        "Este cruce no estaba anunciado.",
    ),
    "outside_window.early": (
        "It came {minutes} min before it was announced for.",
        "Llegó {minutes} min antes de lo anunciado.",
    ),
    "outside_window.late": (
        "It came {minutes} min after it was announced for.",
        "Llegó {minutes} min después de lo anunciado.",
    ),
    "scan_other": (
        "The device {device} states the number {number}, which was not read on this vehicle.",
        "El aparato {device} indica el número {number}, que no se leyó en este vehículo.",
    ),
    "trusted_condition.seal": (
        "{programme}: no intact seal as declared was found.",
        "{programme}: no se encontró un precinto intacto como el declarado.",
    ),
    "trusted_condition.lane": (
        "In a lane for {programmes}, and not expected under it.",
        "En un carril para {programmes}, sin estar previsto en ese programa.",
    ),
    "one_character": (
        "{read} was taken for the declared {declared}: one character differs.",
        "{read} se tomó por {declared}, lo declarado: difiere un carácter.",
    ),
    "ambiguous_match": (
        "{count} expected crossings fit equally well; none was chosen.",
        "{count} cruces previstos encajan por igual; no se eligió ninguno.",
    ),
    "late_expectation": (
        "The port announced this crossing {seconds} s after the vehicle had left.",
        "El puerto anunció este cruce {seconds} s después de la salida del vehículo.",
    ),
    "watch_list.hit": (
        "{identifier} is on a watch list: {note}.",
        "{identifier} está en una lista de vigilancia: {note}.",
    ),
    "watch_list.near": (
        "{identifier} is one character away from an entry on a watch list: {note}.",
        "{identifier} difiere en un carácter de una entrada de una lista de vigilancia: {note}.",
    ),
}


def say(finding: Finding, language: str = "en") -> str:
    """The finding as a sentence. One whose sentence is not known here is said as its finder said it, in English."""
    texts = SENTENCES.get(finding.key)
    if texts is None:
        return finding.sentence or finding.key
    return texts[LANGUAGES.index(language)].format_map(_Parameters(finding.parameters))


class _Parameters(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "?"

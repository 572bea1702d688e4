"""What the page says, in English and Spanish. What stands in braces is filled in; findings have sentences elsewhere."""

from collections.abc import Iterator, Mapping

from edge_agent.domain import terms
from edge_agent.domain.carriers import ON
from edge_agent.domain.sentences import LANGUAGES as LANGUAGES

NAMES = {"en": "English", "es": "Español"}


def _of_verdicts() -> Iterator[tuple[str, tuple[str, str]]]:
    """The words that every page says alike; here each begins a line."""
    tables = (
        ("severity", terms.SEVERITIES.items()),
        ("recommendation", terms.RECOMMENDATIONS.items()),
        ("decision", terms.DECISIONS.items()),
        ("outcome", terms.OUTCOMES.items()),
    )
    for stem, table in tables:
        for name, (english, spanish) in table:
            yield f"{stem}.{name}", (english[0].upper() + english[1:], spanish[0].upper() + spanish[1:])
    yield from ((f"missing.{name}", texts) for name, texts in terms.MISSING.items())


# By key: English, Spanish.
TEXTS: dict[str, tuple[str, str]] = {
    **dict(_of_verdicts()),
    **{f"on.{carrier}": texts for carrier, texts in ON.items()},
    "title": ("Inspection booth", "Cabina de inspección"),
    "skip": ("Go to the lane", "Ir al carril"),
    "lane": ("Lane {id}", "Carril {id}"),
    "now": ("Now", "Ahora"),
    "lane.free": ("Free", "Libre"),
    "lane.free.detail": ("No vehicle is being inspected.", "No se inspecciona ningún vehículo."),
    "lane.vehicle": ("Vehicle in the lane", "Vehículo en el carril"),
    "lane.vehicles": ("{count} vehicles in the lane", "{count} vehículos en el carril"),
    "lane.occupied": ("Something stands at {device}", "Hay algo en {device}"),
    "lane.since": ("since", "desde las"),
    "lane.read": ("Read so far", "Leído hasta ahora"),
    "lane.read.none": ("Nothing has been read yet.", "Aún no se ha leído nada."),
    "lane.unknown": ("Not known", "Sin datos"),
    "lane.unknown.detail": (
        "The agent does not answer. What stands in the lane is not known here.",
        "El agente no responde. Aquí no se sabe qué hay en el carril.",
    ),
    "lane.times": ("{count} times", "{count} veces"),
    "alarm.gamma": ("GAMMA ALARM", "ALARMA GAMMA"),
    "alarm.neutron": ("NEUTRON ALARM", "ALARMA DE NEUTRONES"),
    "alarm.at": ("{device}, raised at", "{device}, dada a las"),
    "read.plate": ("Plate", "Matrícula"),
    "read.container_code": ("Container", "Contenedor"),
    "read.seal": ("Seal", "Precinto"),
    "read.seal_present": ("Seal answers: closed", "El precinto responde: cerrado"),
    "read.seal_broken": ("SEAL BROKEN", "PRECINTO ROTO"),
    "read.seal_other_number": ("SEAL: OTHER NUMBER", "PRECINTO: OTRO NÚMERO"),
    "read.tag": ("Tag", "Etiqueta"),
    "read.weight": ("Weight", "Peso"),
    "read.radiation_alarm": ("Portal: ALARM", "Pórtico: ALARMA"),
    "read.radiation_quiet": ("Portal: no alarm", "Pórtico: sin alarma"),
    "read.check_digit": ("check digit wrong", "dígito de control incorrecto"),
    "counts.gamma": ("Gamma", "Gamma"),
    "counts.neutron": ("Neutron", "Neutrones"),
    "counts.cps": ("{cps} counts/s", "{cps} cuentas/s"),
    "vehicle.last": ("Last vehicle", "Último vehículo"),
    "vehicle.one": ("Vehicle", "Vehículo"),
    "vehicle.none": ("No vehicle yet", "Aún no hay vehículos"),
    "vehicle.none.detail": (
        "The records of vehicles that have left appear here.",
        "Aquí aparecen los registros de los vehículos que han salido.",
    ),
    "vehicle.gone": (
        "This vehicle is no longer in the list. The ledger and the port keep its record.",
        "Este vehículo ya no está en la lista. El registro de la cabina y el puerto lo conservan.",
    ),
    "vehicle.back": ("Back to the lane", "Volver al carril"),
    "vehicle.left": ("left at", "salió a las"),
    "vehicle.no_plate": ("no plate read", "sin matrícula leída"),
    "vehicle.earlier": ("Earlier vehicles", "Vehículos anteriores"),
    "vehicle.earlier.none": ("None yet.", "Ninguno todavía."),
    "vehicle.open": ("Look at it", "Verlo"),
    "vehicle.record": ("Record {id}, event {seq}", "Registro {id}, evento {seq}"),
    "outcome.none": ("Outcome not stated", "Resultado no indicado"),
    "missing": ("Missing: {what}", "Falta: {what}"),
    "missing.unstated": ("no reason stated", "sin motivo indicado"),
    "what.plate": ("plate", "matrícula"),
    "what.container_code": ("container code", "código de contenedor"),
    "what.seal": ("seal", "precinto"),
    "what.radiation": ("radiation", "radiación"),
    "what.tag": ("tag", "etiqueta"),
    "what.weight": ("weight", "peso"),
    "what.scan": ("scan", "escaneo"),
    "recommendation": ("The rules recommend", "Las reglas recomiendan"),
    "recommendation.release.detail": ("Nothing speaks against it.", "Nada se opone."),
    "recommendation.refer.detail": ("An officer should look.", "Un oficial debe mirar."),
    "recommendation.hold.detail": ("It should not leave.", "No debe salir."),
    "recommendation.none": ("No rules were applied.", "No se aplicaron reglas."),
    "decision": ("Decided at the port", "Decidido en el puerto"),
    "decision.refer.detail": ("to secondary inspection,", "a inspección secundaria,"),
    "decision.by": ("by {officer}: {reason}", "por {officer}: {reason}"),
    "decision.none": (
        "An officer decides, at the port. This page shows and decides nothing.",
        "Decide un oficial, en el puerto. Esta página muestra y no decide nada.",
    ),
    "findings": ("Findings", "Hallazgos"),
    "findings.none": ("The rules found nothing.", "Las reglas no hallaron nada."),
    "findings.after": ("found after it left", "hallado tras su salida"),
    "record": ("What was read", "Lo que se leyó"),
    "row.plate": ("Plate", "Matrícula"),
    "row.container_code": ("Container", "Contenedor"),
    "row.seal": ("Seal", "Precinto"),
    "row.seal_state": ("Seal {number}", "Precinto {number}"),
    "row.tag": ("Tag", "Etiqueta"),
    "row.weight": ("Weight", "Peso"),
    "row.radiation": ("Radiation", "Radiación"),
    "row.spectrum": ("Spectrum", "Espectro"),
    "row.scan": ("Scan", "Escaneo"),
    "row.clock": ("Times", "Horas"),
    "value.clock": (
        "the clock followed no time source while the vehicle was there",
        "el reloj no seguía ninguna fuente de hora con el vehículo presente",
    ),
    "row.direction": ("Direction", "Sentido"),
    "row.disagree": ("Devices disagree: {what}", "Los aparatos discrepan: {what}"),
    "row.away": ("Agent away", "Agente ausente"),
    "value.away": (
        "while the vehicle was in the lane; the inspection was taken up again",
        "con el vehículo en el carril; la inspección se retomó",
    ),
    "value.none": ("none read", "no leído"),
    "value.reads.one": (
        "read {reads} of {count} time, confidence {confidence}",
        "leída {reads} de {count} vez, confianza {confidence}",
    ),
    "value.reads": (
        "read {reads} of {count} times, confidence {confidence}",
        "leída {reads} de {count} veces, confianza {confidence}",
    ),
    "value.others": ("also read: {others}", "también se leyó: {others}"),
    "value.check_ok": ("check digit right", "dígito de control correcto"),
    "value.check_wrong": ("CHECK DIGIT WRONG OR NOT READ", "DÍGITO DE CONTROL INCORRECTO O NO LEÍDO"),
    "value.shown": ("the scale showed {shown} {unit}", "la báscula mostró {shown} {unit}"),
    "value.no_alarm": ("no alarm", "sin alarma"),
    "value.sigma": (
        "our own check: {sigma} standard deviations above background",
        "comprobación propia: {sigma} desviaciones típicas sobre el fondo",
    ),
    "value.disagree": ("DEVICE AND OUR CHECK DISAGREE", "EL APARATO Y NUESTRA COMPROBACIÓN DISCREPAN"),
    "value.no_nuclide": ("no nuclide identified", "ningún nucleido identificado"),
    "value.answered.one": ("answered once", "respondió una vez"),
    "value.answered": ("answered {count} times", "respondió {count} veces"),
    "value.backward": ("AGAINST THE LANE", "EN CONTRA DEL CARRIL"),
    "value.forward": ("along the lane", "en el sentido del carril"),
    "value.shortened": (
        "More was seen than one record holds; the evidence has all of it.",
        "Se vio más de lo que cabe en un registro; la evidencia lo tiene todo.",
    ),
    "seal.present": ("closed", "cerrado"),
    "seal.broken": ("BROKEN", "ROTO"),
    "seal.other_number": ("OTHER NUMBER", "OTRO NÚMERO"),
    "role.tractor": ("tractor", "tractor"),
    "role.trailer": ("trailer", "remolque"),
    "role.rear": ("rear", "trasera"),
    "expected": ("Expected crossing", "Cruce previsto"),
    "expected.matched": ("Matches {id}", "Coincide con {id}"),
    "expected.ambiguous": ("Several expectations fit equally well: {id}", "Varias previsiones encajan por igual: {id}"),
    "expected.none": ("Nothing was announced for this vehicle", "No se anunció nada para este vehículo"),
    "expected.could_not_look": ("Could not be looked up", "No se pudo consultar"),
    "expected.absent": ("Not compared with what the port expects.", "No se comparó con lo que el puerto espera."),
    "expected.age": ("the list was {age} old", "la lista tenía {age}"),
    "expected.early": ("{age} before its window", "{age} antes de su ventana"),
    "expected.late": ("{age} after its window", "{age} después de su ventana"),
    "expected.declared": ("Declared", "Declarado"),
    "expected.read": ("Read", "Leído"),
    "verdict.same": ("same", "igual"),
    "verdict.looks_alike": ("same but for O/0 or I/1", "igual salvo O/0 o I/1"),
    "verdict.one_character_off": ("ONE CHARACTER DIFFERS", "DIFIERE UN CARÁCTER"),
    "verdict.without_check_digit": ("same, check digit not read", "igual, sin leer el dígito de control"),
    "verdict.other": ("OTHER THAN DECLARED", "DISTINTO DE LO DECLARADO"),
    "verdict.not_read": ("not read", "no leído"),
    "verdict.undeclared": ("not declared", "no declarado"),
    "pictures": ("Pictures", "Imágenes"),
    "pictures.none": ("No picture is kept here.", "Aquí no se conserva ninguna imagen."),
    "picture.plate_crop": ("Plate", "Matrícula"),
    "picture.container_code_crop": ("Container code", "Código de contenedor"),
    "picture.frame": ("Camera", "Cámara"),
    "picture.quick_look": ("Scan", "Escaneo"),
    "picture.scan": ("Scan", "Escaneo"),
    "picture.other": ("Picture", "Imagen"),
    "radiation": ("Radiation profile", "Perfil de radiación"),
    "radiation.none": ("No portal counted this vehicle.", "Ningún pórtico contó este vehículo."),
    "radiation.gone": ("The measurements are no longer kept here.", "Las mediciones ya no se conservan aquí."),
    "kind.gamma": ("Gamma", "Gamma"),
    "kind.neutron": ("Neutron", "Neutrones"),
    "profile.title": ("{kind} counts of {device}", "{kind}: cuentas de {device}"),
    "profile.summary.one": (
        "{count} panel over {seconds} s, at most {peak} counts per second.",
        "{count} panel durante {seconds} s, como máximo {peak} cuentas por segundo.",
    ),
    "profile.summary": (
        "{count} panels over {seconds} s, at most {peak} counts per second.",
        "{count} paneles durante {seconds} s, como máximo {peak} cuentas por segundo.",
    ),
    "profile.alarm": ("The portal was in alarm where the band is.", "El pórtico estuvo en alarma donde está la banda."),
    "profile.no_alarm": ("The portal was not in alarm.", "El pórtico no estuvo en alarma."),
    "profile.background": ("background", "fondo"),
    "profile.panel": ("panel {number}", "panel {number}"),
    "profile.seconds": ("seconds", "segundos"),
    "profile.cps": ("counts per second", "cuentas por segundo"),
    "devices": ("Devices", "Aparatos"),
    "device.online": ("Online", "En línea"),
    "device.waiting": ("Silent", "En silencio"),
    "device.offline": ("OFFLINE", "SIN CONEXIÓN"),
    "device.failed": ("FAILED", "AVERIADO"),
    "device.": ("Not heard yet", "Aún sin noticias"),
    "device.unknown": ("Not known", "Sin datos"),
    "health": ("Ledger and uplink", "Registro y enlace"),
    "health.agent": ("Agent", "Agente"),
    "health.agent.up": ("runs, version {version}", "en marcha, versión {version}"),
    "health.agent.down": ("DOES NOT ANSWER", "NO RESPONDE"),
    "health.recording": ("Recording", "Registro de datos"),
    "health.recording.yes": ("events are kept", "los eventos se guardan"),
    "health.recording.no": ("NOTHING IS BEING RECORDED", "NO SE GUARDA NADA"),
    "health.key": ("Device key", "Clave de la cabina"),
    "health.key.away": (
        "OPENS NO NEW SESSION: {why}. Events are signed by the session before; it is tried again",
        "NO ABRE UNA SESIÓN NUEVA: {why}. Los eventos se firman con la sesión anterior; se vuelve a intentar",
    ),
    "health.ledger": ("Ledger", "Registro"),
    "health.ledger.events.one": ("{count} event", "{count} evento"),
    "health.ledger.events": ("{count} events", "{count} eventos"),
    "health.unread": ("cannot be read: {why}", "no se puede leer: {why}"),
    "health.waiting": ("Waiting for the port", "En espera del puerto"),
    "health.waiting.events.one": ("{count} event", "{count} evento"),
    "health.waiting.events": ("{count} events", "{count} eventos"),
    "health.waiting.files.one": ("{count} file", "{count} archivo"),
    "health.waiting.files": ("{count} files", "{count} archivos"),
    "health.link": ("Link to the port", "Enlace con el puerto"),
    "link.up": ("up", "activo"),
    "link.down": ("DOWN", "CAÍDO"),
    "link.refused": ("THE PORT REFUSES", "EL PUERTO LO RECHAZA"),
    "link.forked": ("THE PORT HOLDS ANOTHER CHAIN", "EL PUERTO TIENE OTRA CADENA"),
    "link.": ("not known yet", "aún sin datos"),
    "health.list": ("Expected by the port", "Previsto por el puerto"),
    "health.list.none": ("nothing has been announced", "no se ha anunciado nada"),
    "health.list.vehicles.one": ("{count} vehicle", "{count} vehículo"),
    "health.list.vehicles": ("{count} vehicles", "{count} vehículos"),
    "health.list.confirmed": ("confirmed at", "confirmado a las"),
    "health.list.never": ("NEVER CONFIRMED", "NUNCA CONFIRMADO"),
    "health.disk": ("Disk", "Disco"),
    "health.disk.used": ("{percent} % used, {free} free", "{percent} % usado, {free} libres"),
    "health.clock": ("Clock", "Reloj"),
    "clock.synchronised": ("follows a time source", "sigue una fuente de hora"),
    "clock.unsynchronised": ("RUNS FREE, may be wrong", "VA POR LIBRE, puede estar mal"),
    "clock.unknown": ("state not known", "estado desconocido"),
    "health.bound": ("at most {seconds} s off", "a lo sumo {seconds} s de error"),
    "fault": ("Fault: {fault}", "Fallo: {fault}"),
    "fault.gamma_high_background": ("gamma background too high", "fondo gamma demasiado alto"),
    "fault.gamma_low_background": ("gamma background too low", "fondo gamma demasiado bajo"),
    "fault.neutron_high_background": ("neutron background too high", "fondo de neutrones demasiado alto"),
    "fault.neutron_low_background": ("neutron background too low", "fondo de neutrones demasiado bajo"),
    "fault.tamper": ("opened or tampered with", "abierto o manipulado"),
    "fault.power": ("no mains", "sin red eléctrica"),
    "fault.battery": ("battery low", "batería baja"),
    "fault.out_of_range": ("out of its range", "fuera de su rango"),
    "fault.stuck": ("stuck", "atascado"),
    "fault.internal": ("its own error", "error propio"),
    "fault.missed": ("counted vehicles that the booth did not see", "contó vehículos que la cabina no vio"),
    "banner.agent": (
        "THE AGENT DOES NOT ANSWER. Nothing on this page about the lane or the devices is current.",
        "EL AGENTE NO RESPONDE. Nada en esta página sobre el carril o los aparatos es actual.",
    ),
    "banner.room": (
        "NOTHING IS BEING RECORDED: {why}. Go over to manual inspection until there is room.",
        "NO SE GUARDA NADA: {why}. Pase a la inspección manual hasta que haya espacio.",
    ),
    "banner.failed": (
        "The agent can no longer say what the lane does. It still records; have it restarted.",
        "El agente ya no puede decir qué ocurre en el carril. Sigue registrando; haga que se reinicie.",
    ),
    "banner.clock": (
        "This booth's clock follows no time source: the times on this page and in the records may be wrong.",
        "El reloj de esta cabina no sigue ninguna fuente de hora: las horas mostradas y las registradas pueden fallar.",
    ),
    "banner.ledger": ("The ledger cannot be read: {why}", "El registro no se puede leer: {why}"),
    "banner.alarm": ("{alarm} in lane {lane}", "{alarm} en el carril {lane}"),
    "camera.plate": ("camera, plates", "cámara, matrículas"),
    "camera.both": ("camera, plates and containers", "cámara, matrículas y contenedores"),
    "camera.container": ("camera, containers", "cámara, contenedores"),
    "device.none": (
        "The settings name no device of this lane.",
        "Los ajustes no nombran aparatos de este carril.",
    ),
    "stale": (
        "NO LIVE DATA since {time}. What you see is of then. Trying again.",
        "SIN DATOS EN VIVO desde las {time}. Lo que ve es de entonces. Reintentando.",
    ),
    "live": ("Live", "En vivo"),
    "live.off": ("Not live: renewed every 5 seconds", "No en vivo: se renueva cada 5 segundos"),
    "switch.language": ("Español", "English"),
    "switch.night": ("Night", "Noche"),
    "switch.day": ("Day", "Día"),
    "switch.auto": ("Auto", "Auto"),
    "switch.keys_on": ("Keys: on", "Teclas: sí"),
    "switch.keys_off": ("Keys: off", "Teclas: no"),
    "switches": ("Settings", "Ajustes"),
    "keys": ("Keys", "Teclas"),
    "key.l": ("lane", "carril"),
    "key.v": ("last vehicle", "último vehículo"),
    "key.e": ("earlier vehicles", "vehículos anteriores"),
    "key.d": ("devices", "aparatos"),
    "key.h": ("ledger and uplink", "registro y enlace"),
    "key.n": ("night or day", "noche o día"),
    "key.s": ("English / español", "español / English"),
    "log_out": ("Log out", "Salir"),
    "log_in": ("Log in", "Entrar"),
    "password": ("Password of this booth", "Contraseña de esta cabina"),
    "log_in.wrong": ("That is not the password.", "Esa no es la contraseña."),
    "log_in.wait": (
        "Too many wrong passwords. Try again in {seconds} s.",
        "Demasiadas contraseñas incorrectas. Inténtelo de nuevo en {seconds} s.",
    ),
    "log_in.unset": (
        "No password has been set. On the booth's computer: edge-agent console set-password booth.yaml",
        "No hay contraseña. En el ordenador de la cabina: edge-agent console set-password booth.yaml",
    ),
    "log_in.expired": ("Your session is over. Log in again.", "Su sesión ha terminado. Entre de nuevo."),
    "log_in.unknown": (
        "This session is not one that the page gave out: it is forged, or older than the page's last start.",
        "Esta sesión no la dio la página: es falsa, o anterior al último arranque de la página.",
    ),
    "refused": ("Refused", "Rechazado"),
    "refused.back": ("To the page", "A la página"),
}

# What a driver calls its device, in Spanish. One that is not here, of somebody else's package, stays as it is.
DEVICES_IN_SPANISH = {
    "Rapiscan / TSA radiation portal monitor, VM-250 family, ASCII protocol": (
        "pórtico de radiación Rapiscan / TSA, familia VM-250, protocolo ASCII"
    ),
    "serial barcode scanner": "lector de códigos de barras por puerto serie",
    "spectroscopic radiation portal, ANSI N42.42 documents between STX and ETX": (
        "pórtico de radiación espectroscópico, documentos ANSI N42.42 entre STX y ETX"
    ),
    "UHF tag reader, UHFReader18 and UHFReader288 protocol": (
        "lector de etiquetas UHF, protocolo UHFReader18 y UHFReader288"
    ),
    "scale terminal with Toledo continuous output": "indicador de báscula con salida continua Toledo",
    "scale terminal that streams the Rice Lake IQ355 format": "indicador de báscula, formato continuo Rice Lake IQ355",
    "scale that is asked by the NCI protocol SCP-01": "báscula consultada por el protocolo NCI SCP-01",
    "scale that is asked by MT-SICS": "báscula consultada por MT-SICS",
    "STI VS6400 vehicle separator, ASCII lists of objects": "separador de vehículos STI VS6400, listas de objetos",
    "UHF tag reader that speaks LLRP": "lector de etiquetas UHF con LLRP",
    "Aspect radiation portal monitor, Modbus TCP": "pórtico de radiación Aspect, Modbus TCP",
    "loops, light barriers and other contacts on a serial port's modem-control lines": (
        "lazos, barreras de luz y otros contactos en las líneas de control de módem de un puerto serie"
    ),
    "imaging scanner whose software writes files into a folder": "escáner de imagen que deja archivos en una carpeta",
    "imaging scanner that sends by DICOM C-STORE, DICOS too": "escáner de imagen que envía por DICOM C-STORE o DICOS",
    "imaging scanner that pushes files by HTTP": "escáner de imagen que envía archivos por HTTP",
}


def said(language: str, key: str, values: Mapping[str, object] | None = None) -> str:
    """The words of `key`; of one alone those of `key.one`, if there are any.

    A key that is not known is said as it is: a newer device's word, say.
    """
    one = TEXTS.get(f"{key}.one") if values and values.get("count") == 1 else None
    texts = one or TEXTS.get(key)
    if texts is None:
        return key.rpartition(".")[2].replace("_", " ")
    return texts[LANGUAGES.index(language)].format(**(values or {}))


def age(seconds: float) -> str:
    """How long ago, in the largest unit that says enough; the same in both languages."""
    seconds = max(0, int(seconds))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length * 2:
            return f"{seconds // length}\u00a0{unit}"
    return f"{seconds}\u00a0s"

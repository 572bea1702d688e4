"""Canadian and Mexican plates.

Canada, `canada.csv`: 12 x 6 in, serials as the provinces' registries describe them. Mexico: NOM-001-SCT-2-2016 (service
classes, serial forms, state names, the federal eagle), 300 x 150 mm. I, O and Q are not issued.
"""

from pathlib import Path

from models.rendering.series import Series, read_table

_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
CANADA = read_table(Path(__file__).with_name("canada.csv"), "ca-", lambda code: _LETTERS)

_STATES = {
    "AGU": "AGUASCALIENTES", "BCN": "BAJA CALIFORNIA", "BCS": "BAJA CALIFORNIA SUR", "CAM": "CAMPECHE",
    "CHP": "CHIAPAS", "CHH": "CHIHUAHUA", "COA": "COAHUILA", "COL": "COLIMA", "CMX": "CDMX", "DUR": "DURANGO",
    "GUA": "GUANAJUATO", "GRO": "GUERRERO", "HID": "HIDALGO", "JAL": "JALISCO", "MEX": "EDO. DE MEXICO",
    "MIC": "MICHOACAN",
    "MOR": "MORELOS", "NAY": "NAYARIT", "NLE": "NUEVO LEON", "OAX": "OAXACA", "PUE": "PUEBLA",
    "QUE": "QUERETARO", "ROO": "QUINTANA ROO", "SLP": "SAN LUIS POTOSI", "SIN": "SINALOA",
    "SON": "SONORA", "TAB": "TABASCO", "TAM": "TAMAULIPAS",
    "TLA": "TLAXCALA", "VER": "VERACRUZ", "YUC": "YUCATAN", "ZAC": "ZACATECAS",
}  # fmt: skip
_GROUNDS = (
    "plain:f4f4f4",
    "fade:f4f4f4,e0e8d8",
    "fade:f0e0e8,f4f4f4",
    "bands:f0f0f0,f4f4f4,5a1838",
    "fade:d0e8e0,f4f4f4,f0d8d8",
)
_INKS = ("202020", "202a50", "204030", "501828")
_ART = ("", "any:d0c8b0", "seal:d8d8d0", "hills:d8e0d0")

MEXICO: tuple[Series, ...] = (
    *(
        Series(
            region=f"mx-{code}",
            patterns="AAA-999-A;AAA-99-99;A-999-AAA;AA-99-999;AA-9999-A;999-AAA;AAA-9999;A99-AAA;99A-999",
            weight=0.12,
            ground=_GROUNDS[i % len(_GROUNDS)],
            ink=_INKS[i % len(_INKS)],
            name=name,
            name_ink="?",
            name_style=("sans", "serif", "narrow")[i % 3],
            slogan="MEXICO|DELANTERA|TRASERA|MEXICO TRASERA",
            slogan_ink="?",
            art=_ART[i % len(_ART)],
            decal="any:b09050",
            letters=_LETTERS,
            size=(300, 150),
        )
        for i, (code, name) in enumerate(_STATES.items())
    ),
    Series(
        region="mx-federal",
        patterns="99-AA-9A;999-AA-9;99-AA-99;999-AA-1;99-AA-1A;AA-99-99;AA-999-99;AA-99-999",
        weight=3.0,
        ground="plain:f4f4f2",
        ink="202020",
        name="MEXICO|SCT|SICT MEXICO",
        name_ink="?",
        slogan="AUTOTRANSPORTE FEDERAL|SERVICIO PUBLICO FEDERAL|CARGA|REMOLQUE|CAMION|TRACTO CAMION",
        slogan_ink="202020",
        art="seal:d8dcd8",
        decal="seal:806030",
        letters=_LETTERS,
        size=(300, 150),
    ),
)

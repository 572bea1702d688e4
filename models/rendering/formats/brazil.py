"""Brazilian plates and the neighbours' of the Mercosul design, 400 x 130 mm; motorcycles 200 x 170 mm.

CONTRAN resolutions 231/2007 and 969/2022; Mercosul GMC resolution 33/14. Old: AAA-9999 under a strip with state and
city; grey, by use red (hire, cargo), white (official), black (collection). Mercosul: AAA9A99 on white under a blue band
with the country; the ink tells the use. All letters are issued.
"""

from models.rendering.series import Series

CITIES = (
    "SP-SAO PAULO|RJ-RIO DE JANEIRO|MG-BELO HORIZONTE|PR-CURITIBA|RS-PORTO ALEGRE|BA-SALVADOR|PE-RECIFE|CE-FORTALEZA"
    "|DF-BRASILIA|GO-GOIANIA|SC-JOINVILLE|AM-MANAUS|PA-BELEM|ES-VITORIA|MS-CAMPO GRANDE|MT-CUIABA"
    "|SP-CAMPINAS|SP-SANTOS|PR-LONDRINA"
    "|RS-CAXIAS DO SUL|SC-ITAJAI|PR-MARINGA|MG-UBERLANDIA|RN-NATAL|PB-JOAO PESSOA|AL-MACEIO|SE-ARACAJU|PR-FOZ DO IGUACU"
)


def _old(
    weight: float, ground: str, ink: str, pattern: str = "AAA-9999", size: tuple[float, float] = (400, 130)
) -> Series:
    return Series(
        region="br-old",
        patterns=pattern,
        layout="brazilian",
        weight=weight,
        ground=ground,
        ink=ink,
        name=CITIES,
        faces="br",
        size=size,
    )


def _mercosul(
    weight: float,
    ink: str,
    pattern: str = "AAA9A99",
    size: tuple[float, float] = (400, 130),
    region: str = "br-mercosul",
    name: str = "BRASIL",
) -> Series:
    return Series(
        region=region,
        name=name,
        patterns=pattern,
        layout="mercosul",
        weight=weight,
        ground="plain:f2f2f0",
        ink=ink,
        faces="fe",
        size=size,
    )


BRAZIL: tuple[Series, ...] = (
    _old(6.0, "plain:a8acac", "202020"),
    _old(2.0, "plain:b03038", "f0f0f0"),
    _old(0.5, "plain:f0f0f0", "202020"),
    _old(0.2, "plain:202020", "d0d0d0"),
    _old(0.5, "plain:a8acac", "202020", "AAA|9999", (187, 136)),
    _mercosul(4.0, "181818"),
    _mercosul(1.2, "b02030"),
    _mercosul(0.3, "203890"),
    _mercosul(0.2, "206838"),
    _mercosul(0.4, "181818", "AAA|9A99", (200, 170)),
    _mercosul(0.4, "181818", "AA_999_AA", region="ar-mercosul", name="REPUBLICA ARGENTINA"),
    _mercosul(0.3, "181818", "AAAA_999", region="py-mercosul", name="REPUBLICA DEL PARAGUAY"),
    _mercosul(0.2, "181818", "AAA_9999", region="uy-mercosul", name="URUGUAY"),
)

"""Plates of the European Union and its neighbours, 520 x 110 mm; two rows 280 x 200 or 340 x 220 mm.

The blue band with the country's letters: Council Regulation (EC) No 2411/98. Serial forms and unused letters as the
national rules state them, e.g. Germany FZV annex 4, France arrêté of 9 February 2009 (SIV: no I, O, U), Spain
Orden INT/624/2008 (consonants only, no Ñ, Q), Italy (no I, O, Q, U), the Netherlands (no vowels, C, Q).
"""

from models.rendering.series import LETTERS, Series

_CONSONANTS = "BCDFGHJKLMNPRSTVWXYZ"
_TOWNS_RO = "AB AG AR BC BH BV CJ CT DJ GL IF IS MH PH SB SV TM TR VL"
_TOWNS_DE = "B M HH K S F D DO L H HB N DD KA MA WI FR ESS KS OS ROW LB GG BOR"
_TOWNS_AT = "W G L S I K GU WN BN VB"
_TOWNS_SK = "BA BL KE ZA NR TT PO MT"
_TOWNS_HR = "ZG ST RI OS ZD PU KA"
_TOWNS_SI = "LJ MB CE KP KR NM"
_TOWNS_RS = "BG NS NI SU KG"


def _with(towns: str, *rest: str) -> str:
    return ";".join(f"'{town}'{tail}" for town in towns.split() for tail in rest)


def _of(
    code: str, band: str, patterns: str, letters: str, weight: float = 1.0, ground: str = "f4f4f2", ink: str = "181818",
    faces: str = "eu", size: tuple[float, float] = (520, 110), decal: str = "",
) -> Series:  # fmt: skip
    return Series(
        region=f"eu-{code}", patterns=patterns, layout="european", weight=weight, ground=f"plain:{ground}", ink=ink,
        letters=letters, faces=faces, size=size, band=band, decal=decal,
    )  # fmt: skip


_TWO = (280.0, 200.0)
EUROPE: tuple[Series, ...] = (
    _of("DE", "D", _with(_TOWNS_DE, "#AA_999", "#A_9999", "#AA_9999", "#AA_99", "#A_999"), LETTERS, 3.0, faces="fe"),
    _of("DE", "D", _with(_TOWNS_DE, "#|AA_999", "#|A_9999"), LETTERS, 0.3, faces="fe", size=_TWO),
    _of("FR", "F", "AA-999-AA", "ABCDEFGHJKLMNPQRSTVWXYZ", 2.0),
    _of("FR", "F", "AA-999|AA", "ABCDEFGHJKLMNPQRSTVWXYZ", 0.1, size=_TWO),
    _of("ES", "E", "9999_AAA", _CONSONANTS, 1.5),
    _of("ES", "E", "'R'_9999_AAA", _CONSONANTS, 0.2, ground="c02830"),
    _of("IT", "I", "AA_999AA", "ABCDEFGHJKLMNPRSTVWXYZ", 1.5),
    _of("PT", "P", "AA-99-AA;99-99-AA;99-AA-99", "ABCDEFGHIJLMNOPQRSTUVXZ", 0.8),
    _of("NL", "NL", "99-AAA-9;9-AAA-99;A-999-AA;AA-999-A;AA-AA-99;AAA-99-A", "BDFGHJKLNPRSTVXZ", 1.5, ground="f0b418"),
    _of("BE", "B", "'1'-AAA-999;'2'-AAA-999;'1'_AAA_999", LETTERS, 1.0, ink="901828"),
    _of("LU", "L", "AA_9999", "ABCDEFGHJKLMNPRSTUVWXYZ", 0.6, ground="f0c020"),
    _of("GB", "GB", "AA99_AAA", "ABCDEFGHJKLMNPRSTUVWXYZ", 1.0, ground="f0c030", faces="gb"),
    _of("GB", "GB", "AA99_AAA", "ABCDEFGHJKLMNPRSTUVWXYZ", 0.7, faces="gb"),
    _of("GB", "", "AA99|AAA", "ABCDEFGHJKLMNPRSTUVWXYZ", 0.2, ground="f0c030", faces="gb", size=_TWO),
    _of("IE", "IRL", "99'1'-'D'-99999;05-'C'-9999;'9'9-'D'-99999;'12'1-'KE'-9999", LETTERS, 0.5),
    _of("PL", "PL", "AA_99999;AAA_9999A;AA_9999A;AAA_A999;AA_999AA", "ABCDEFGHJKLMNOPRSTUVWXYZ", 2.0),
    _of("CZ", "CZ", "9A9_9999;1A9_9999", "ABCDEFHJKLMNPRSTUVXYZ", 1.2),
    _of("SK", "SK", _with(_TOWNS_SK, "#999AA", "-999AA"), "ABCDEFGHIJKLMNOPRSTUVXYZ", 0.8),
    _of("HU", "H", "AAA-999;AA_AA-999", "ABCDEFGHIJKLMNOPRSTUVWXYZ", 1.0),
    _of("AT", "A", _with(_TOWNS_AT, "#9999A", "#999AA", "#99999A", "#99AAA"), "ABCDEFGHIJKLMNPRSTUVWXYZ", 1.0),
    _of("RO", "RO", "'B'_999_AAA;'B'_99_AAA;" + _with(_TOWNS_RO, "_99_AAA"), "ABCDEFGHIJKLMNOPRSTUVWXYZ", 2.0),
    _of("BG", "BG", "'CB'_9999_AA;A_9999_AA;'PB'_9999_AA", "ABCEHKMOPTXY", 0.8),
    _of("GR", "GR", "AAA-9999", "ABEHIKMNOTXYZ", 0.7),
    _of("HR", "", _with(_TOWNS_HR, "#999-AA", "#9999-AA", "#9999-A"), "ABCDEFGHIJKLMNOPRSTUVZ", 0.7),
    _of("SI", "SLO", _with(_TOWNS_SI, "#99-AAA", "#AA-999", "#A9-999"), "ABCDEFGHIJKLMNOPRSTUVZ", 0.6),
    _of("SE", "S", "AAA_999;AAA_99A", "ABCDEFGHJKLMNOPRSTUWXYZ", 0.8),
    _of("FI", "FIN", "AAA-999;AA-999;AAA-99", "ABCEFGHIJKLMNOPRSTUVXYZ", 0.7),
    _of("DK", "DK", "AA_99_999", "ABCDEHJKLMNPRSTUVXYZ", 0.8, ink="181818"),
    _of("NO", "N", "AA_99999", "ABCDEFHJKLNPRSTUVXYZ", 0.7),
    _of("EE", "EST", "999_AAA;999_AAA", "ABCDEFGHIJKLMNOPRSTUVXYZ", 0.5),
    _of("LV", "LV", "AA-9999;AA-999", "ABCDEFGHIJKLMNOPRSTUVZ", 0.5),
    _of("LT", "LT", "AAA#999;AAA_999", "ABCDEFGHJKLMNOPRSTUVZ", 0.6),
    _of("CH", "", "'ZH'.999999;'BE'.99999;'GE'.9999;'VD'.999999;'AG'_99999", LETTERS, 0.7, decal="flag:c02030"),
    _of("FR", "", "999_AAA_75;9999_AA_13;999_AA_69;99_AAA_92", "ABCDEFGHJKLMNPQRSTVWXYZ", 0.4),
    _of("FR", "", "999_AAA_75;9999_AA_33;999_AA_59;999_AAA_06", "ABCDEFGHJKLMNPQRSTVWXYZ", 0.2, ground="f0c030"),
    _of("ES", "E", "'M'-9999-AA;'B'-9999-AA;'SE'-9999-AA;'V'_9999_AA", _CONSONANTS, 0.3),
    _of("GB", "", "A999_AAA;A99_AAA;AA99_AAA", "ABCDEFGHJKLMNPRSTUVWXYZ", 0.3, faces="gb"),
    _of("DE", "D", _with(_TOWNS_DE, "#AA_99'H'", "#AA_999'E'", "#A_99'H'"), LETTERS, 0.3, faces="fe"),
    _of("CZ", "", "AAA_99-99;AA_99-99", "ABCDEFHIJKLMNOPRSTUVXYZ", 0.3),
    _of("BE", "B", "AAA_999;999_AAA", LETTERS, 0.4, ink="901828"),
    _of("BY", "BY", "9999_AA-9;AA_9999-9", "ABCEHIKMOPTX", 0.3),
    _of("MD", "MD", "AAA_999;A_AA_999", "ABCDEFGHIJKLMNOPRSTUVXYZ", 0.3),
    _of("BA", "BIH", "A99-A-999;999-A-999", "AEJKMOT", 0.3),
    _of("MK", "NMK", "'SK'_9999-AA;'BT'_9999_AA;'TE'_999-AA", "ABCDEFGHIJKLMNOPRSTUVZ", 0.3),
    _of("AL", "AL", "AA_999_AA", "ABCDEFGHJKLMNPRSTUVXYZ", 0.3),
    _of("RS", "SRB", _with(_TOWNS_RS, "#999-AA", "#9999-AA"), "ABCDEFGHIJKLMNOPRSTUVXZ", 0.4),
    _of("UA", "UA", "AA_9999_AA", "ABCEHIKMOPTX", 0.6),
    _of("TR", "TR", "99_AA_999;99_AAA_99;99_A_9999;99_AAA_999", "ABCDEFGHIJKLMNOPRSTUVYZ", 0.6),
)

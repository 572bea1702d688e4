"""US plates: the passenger series of the states and DC, trucks, trailers, apportioned, personal and special plates.

`us.csv` holds the passenger series on the road, older ones among them. Colours, legends and serial forms follow the
issuing departments' own published descriptions (each state's department of motor vehicles or revenue); the
pictures are abstract. Plates are 12 x 6 in (SAE J686). Every letter but O is drawn in every series: states differ in
which others they leave out, and photos of ordinary serials hold I and Q.
"""

from pathlib import Path

from models.rendering.series import Series, read_table

_LETTERS = "ABCDEFGHIJKLMNPQRSTUVWXYZ"
_PASSENGER = read_table(Path(__file__).with_name("us.csv"), "us-", lambda code: _LETTERS)

_STATES = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
    "CT": "Connecticut", "DE": "Delaware", "DC": "Washington, D.C.", "FL": "Florida", "GA": "Georgia", "HI": "Hawaii",
    "ID": "Idaho", "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas", "KY": "Kentucky", "LA": "Louisiana",
    "ME": "Maine", "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan", "MN": "Minnesota", "MS": "Mississippi",
    "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada", "NH": "New Hampshire", "NJ": "New Jersey",
    "NM": "New Mexico", "NY": "New York", "NC": "North Carolina", "ND": "North Dakota", "OH": "Ohio", "OK": "Oklahoma",
    "OR": "Oregon", "PA": "Pennsylvania", "RI": "Rhode Island", "SC": "South Carolina", "SD": "South Dakota",
    "TN": "Tennessee", "TX": "Texas", "UT": "Utah", "VT": "Vermont", "VA": "Virginia", "WA": "Washington",
    "WV": "West Virginia", "WI": "Wisconsin", "WY": "Wyoming",
}  # fmt: skip
_GROUNDS = (
    "plain:f4f4f0", "plain:e8ecf4", "fade:9cc0ec,f4f4f4", "fade:f4f4f4,f0d0a0,e08858", "fade:c8e0c0,f4f4e8",
    "plain:202428", "fade:c03038,f4f4f4,3048a0", "bands:203878,f4f4f4,b02838", "bands:206040,f4f4f4,206040",
    "fade:f0d860,f4f0d0", "plain:203a70", "fade:d8c8e8,f4f4f4", "bands:f4f4f4,e8e0c8,402020",
    "fade:80b8c8,d0e8e8,f0e8c8", "plain:701c28", "plain:d8b848",
)  # fmt: skip
_CAUSES = (
    "Protect Wildlife|UNIVERSITY|Support Our Troops|VETERAN|PURPLE HEART|FIREFIGHTER|Save the Bay|EDUCATION|ALUMNI"
    "|HISTORIC VEHICLE|AMATEUR RADIO|NATIONAL GUARD|IN GOD WE TRUST|Agriculture|Animal Friend|Conserve|DISABLED|PARKS"
    "|Bicentennial|The University of the State|Kids First|LAW ENFORCEMENT|Breast Cancer Awareness"
    "|U.S. ARMY|TRIBAL NATION"
)
_TRADES = (
    "APPORTIONED|TRAILER|TRUCK|COMMERCIAL|COMBINATION|FARM TRUCK|SEMI TRAILER|PERMANENT|TRANSPORTER|TOWING|BUS|DEALER"
)
_SPECIAL = (
    "AA999 (RTR)_9999 A9999 9999(ES) *99999 *AA_999 *9999A *999AA AAAA *XXXX (VET)9999 *A9999 XXXXX *9999 *(CV)999 "
    "999(DV) *XXXXX *_9999 *AA999 (DV)9999 9999(HH) *9999(DV) (PC)999999 AAA999 AA9999 *AAA99"
)
_OWN = "XXXXXXX XXXXXX AAAAAAA AAAAAAA AAAAAA AAAAAA AAAAA AAA_AAA AA_AAAAA AAAA99 A_AAAA AAAAAA9"
_HEAVY = (
    "99999'P' 'P'999999 'AP'99999 9A99999 'TRK'_9999 999999 A999999 9999999 AA99999 9999_AA 99-9999 'T'99-999A "
    "99999_'RP' AA_99_AA  'X'99-9999 A99_999 999_999A 'R'_99999 1AA99999 9999AAA 'PWR'99999 'TL'_9999 "
    "99999'ST' 'V'99999 "
    "(APP)_99999 99999(TK) 'A'999-999 9999999A"
)
_PAPER = "9999999 99A9999 AA99999 A999999 99999A9 999999A AA9999 9999A99 999AA99"
_NOTICES = (
    "EXPIRES JAN 05|TEMPORARY|EXP 03-14|TEMPORARY PERMIT|BUYER TAG|VOID AFTER 30 DAYS|DEALER TEMPORARY TAG|IN TRANSIT"
)
_STYLES = ("serif", "sans", "script", "narrow", "italic")
_ART = ("", "any:90a0b8", "hills:90b0a0", "seal:b0b8c8", "mountains:98a8c0", "waves:a0b8c8", "photo:")


def _others(
    patterns: str, legends: str, letters: str, weight: float, grounds: tuple[str, ...], faces: str = "us"
) -> tuple[Series, ...]:
    """One series a state on some ground with some legend; `?` as an ink is drawn at random against the ground."""
    return tuple(
        Series(
            region=f"us-{code}",
            patterns=";".join(patterns.split()),
            weight=weight,
            ground=grounds[i * 7 % len(grounds)],
            ink="?",
            name=f"{state}|{state.upper()}",
            name_ink="?",
            name_style=_STYLES[i % len(_STYLES)],
            slogan=legends,
            slogan_ink="?",
            art=_ART[i * 3 % len(_ART)],
            decal="any:?",
            letters=letters,
            faces=faces,
        )
        for i, (code, state) in enumerate(_STATES.items())
    )


UNITED_STATES: tuple[Series, ...] = (
    *_PASSENGER,
    *_others(_SPECIAL, _CAUSES, _LETTERS, 0.3, _GROUNDS),
    *_others(_OWN, _CAUSES, _LETTERS, 0.12, _GROUNDS),
    *_others(_HEAVY, _TRADES, _LETTERS, 0.25, ("plain:f4f4f0", "plain:f0f0f0", *_GROUNDS[:5])),
    *_others(_PAPER, _NOTICES, _LETTERS, 0.06, ("plain:f4f4f2", "plain:e8e8e4"), "paper"),
)

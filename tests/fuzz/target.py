"""One parser under atheris: `python -m tests.fuzz.target NAME [libFuzzer's options and folders]`.

A process of its own: atheris instruments what is imported, and libFuzzer ends the process. `planted` is a parser with a
fault, for checking that faults are found.
"""

import sys
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["edge_agent", "llrpkit"]):
    import tests.fuzz.source_parsers  # noqa: F401 - so that what it imports is instrumented too
    from tests.fuzz.parsers import Parser, parsers


def _planted(data: bytes) -> None:
    if data[:1] == b"S" and data[1:2] == b"T" and data[2:3] == b"X":
        raise LookupError("the planted fault")


PLANTED = Parser("planted", _planted, lambda: [b"...."])


def main() -> None:
    name = sys.argv[1]
    parser = PLANTED if name == PLANTED.name else parsers()[name]
    instrumented = atheris.instrument_func(_planted) if parser is PLANTED else parser.parse

    def one_input(data: bytes) -> None:
        with suppress(*parser.allowed):
            instrumented(data)

    atheris.Setup([sys.argv[0], *sys.argv[2:]], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""How many of something, in words: 1 event, 2 events, 2 pieces of evidence."""


def counted(number: float, one: str, many: str = "", form: str = "") -> str:
    """`number` and its noun. `many`: the plural, where it is not `one` with an s. `form`: as a number is formatted."""
    noun, of, whole = one.partition(" of ")
    return f"{number:{form}} {one if number == 1 else many or f'{noun}s{of}{whole}'}"

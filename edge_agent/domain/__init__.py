"""The words that every stage speaks. Plain Python: no input or output, no outside library."""

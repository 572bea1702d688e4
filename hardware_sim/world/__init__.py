"""One ground truth: trucks, where they are and when, and the record of what was really there."""

"""Truth against what a back-office received: which vehicle is which, what was right, what was missed."""

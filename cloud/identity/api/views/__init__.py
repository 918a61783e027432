"""One module per group of resources; each view validates, calls one service or selector, and serialises."""

"""Brokers and databases that come and go under a cloud of real processes with a simulated host."""

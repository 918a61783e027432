"""Measurements of a whole cloud, made as its users make them: over the API, against real processes.

`python -m benchmarks boots` starts a private cloud (API, conductors, beat, simulated hosts, Redis, PostgreSQL) in a
temporary directory, drives it with aiohttp, and stops it. `python -m benchmarks decision` measures the scheduler alone
against PostgreSQL.

Reuses `cloud.embedded` for everything that starts and stops. Must not know the inside of the cloud, `decision.py`
excepted. Read `boots.py` first (what is measured, in which order), then `cloud.py` (what runs), `load.py` (the client)
and `peers.py` (what the figures are held against).
"""

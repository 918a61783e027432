"""Chaos: a whole cloud of real processes under a load of mixed verbs, while a nemesis kills, pauses and robs it.

`./kilonova chaos` runs it (`__main__.py`); docs/how-to/chaos.md says how to read what it prints. Read first: `run.py`.
`invariants.py` says what must hold afterwards and shares nothing with the engine: plain SQL and the hosts' own files.
"""

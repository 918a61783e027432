"""The engine: the log of every operation and its steps, and the runner that carries it on. The log decides.

Knows no verb and no room: operations, sweeps and observers reach it as dotted paths in settings. Read `models.py` (the
log), then `operation.py` (what a verb declares), then `runner.py` (the one place where progress is decided).
"""

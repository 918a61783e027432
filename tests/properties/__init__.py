"""Properties of the engine alone (hypothesis): no interleaving of messages, deaths and sweeps breaks what must hold.

Read `test_engine.py` first (how long, how a failure is repeated), then `engine_machine.py` (what may happen and what
must hold), then `loose_cloud.py` (the cloud that it happens to).
"""

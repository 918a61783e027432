"""The executable model of the engine's protocol: every rule of it in a few hundred lines, searched for a way to break.

It stands beside the code and shares nothing with it: what `cloud/workflow` and `hypervisor` do in transactions, files
and messages is here one step of a small machine. README.md says where the two differ. Read `state.py` first (what
there is), then `conductor.py` (what is decided), `host.py` (what is done), `hello.py` (how hosts begin anew),
`network.py` (what goes wrong), `invariants.py` (what must hold), `search.py` (how it is looked for), `scenarios.py`.

Change a rule of the engine only together with the model: `python -m tests.model --exhaustive`.
"""

"""Several compute hosts on one machine: `./kilonova rig`, and what `tests/rig` runs on.

Each host has network, mount, UTS and PID namespaces of its own, and in them a libvirtd, a virtlogd and both compute
workers under a supervisor that is the first process there: killing it is a power loss, everything in the host dies at
once. The control plane (API, conductor, beat, Redis) runs beside them, on the fabric that joins them all.

Read `plan.py` first: the hosts, their names and where their files are. Then `fabric.py` (links), `init.py` (what a
host does first), `hosts.py` (power on and off), `control.py` (the control plane) and `cli.py` (the commands).
"""

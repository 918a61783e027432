"""The user's instances, and what they are made from: flavors, key pairs, quotas; the verbs, and the compute API.

It must not know libvirt: hosts are told of a guest through `guest_spec.py` alone, and only the engine talks to them.
Read `states.py` first, then `services/`, then `operations/boot.py`.
"""

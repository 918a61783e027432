"""Networks, subnets, ports and the addresses on them: a small network service with the wire of OpenStack Networking.

Must not know instances, hosts' libvirt or scheduling: an instance is a bare UUID here, a host is a name. Read
`models.py` first, then `binding.py` (how an instance gets its ports), then `allocation.py` (how an address is found).
"""

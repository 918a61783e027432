"""The libvirt driver: QEMU guests (KVM where the host has it) through one connection to the host's libvirtd.

Must not know the engine, the queue or any room but `cloud.errors`; sees specs alone. The only package that imports
`libvirt`. Read first: `driver.py` (the facets), then `lifecycle.py`, then `xml/domain.py` (what a guest is made of).
"""

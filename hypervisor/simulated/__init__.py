"""The simulated driver: hosts without a hypervisor, for tests and for scale. The same contract as the libvirt driver.

Its guests, ports and disks are small files under the host's state directory, so that they survive a killed worker as
libvirt's would; nothing is kept in memory. Must not know the engine, the queue or libvirt. Read first: `driver.py`;
`faults.py` says how a test makes it fail.
"""

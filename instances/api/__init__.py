"""The compute API on the wire: servers, flavors, key pairs, quotas. One basename per resource in every folder.

It must not decide anything: a view authenticates, validates, calls one service or selector, and serialises. Hosts,
services and zones are served by `scheduling.api`. Read `urls.py` first, then `views/servers.py`.
"""

"""The wire of this room: what the compute API says of hosts, and a read-only placement API. Read `urls.py`."""

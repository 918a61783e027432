"""The views, one resource a file. Read `base.py` first, then `servers.py`."""

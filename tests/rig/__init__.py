"""Tests on several real compute hosts. `rig.py` is what they are written with, `conftest.py` has the fixtures."""

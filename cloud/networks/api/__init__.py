"""The wire of this room: OpenStack Networking v2.0, as far as compute needs it. Read `views.py` first."""

"""The one-machine deployment, piece by piece; the whole of it is tested in tests/wire."""

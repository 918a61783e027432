"""libvirt's XML: one module per element, each a few functions from specs to lxml elements, and `reading` back.

Must not know libvirt's API (nothing here imports `libvirt`) or files. Read first: `domain.py`, the table of contents.
Golden files: `tests/golden`. Source: libvirt's "Domain XML format" and "Network XML format".
"""

"""The image catalogue and its bytes (glance v2): rows here, one file per active image in IMAGES_DIR.

Knows identity's caller and nothing of instances, hosts or networks: a host fetches bytes with a signed address.
An upload goes through `uploads.py`; read `models.py` first, then that.
"""

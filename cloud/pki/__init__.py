"""Certificates of the cloud's own small authority: for the API, Redis and Flower, and for the libvirt of each host.

Django-free; read `authority.py` first. What is encrypted when is decided elsewhere (docs/decisions/0014).
"""

"""Keystone's API v3 on the wire. Knows the wire's shapes and no rules: those are in services and selectors.

Read `urls.py` first.
"""

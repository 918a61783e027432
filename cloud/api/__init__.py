"""What every room's REST API shares: wire errors, microversions, schemas, paging, policy, the base view.

Knows no room. Read `views.py` first.
"""

"""Who people are and what they may do: domains, projects, users, roles, tokens and the service catalogue (keystone v3).

Knows no other room; every room learns the caller from `authentication.py`. Read `models.py`, then `tokens.py`.
"""

"""Which host an instance goes to: compute nodes and what is taken of them, filters, weighers, claims, and why not.

Must not know instances: a consumer is a bare UUID; an allocation may carry an opaque `group` and `max_per_host`. Read
`request_spec.py` and `host_state.py` first (what is compared), then `scheduler.py` (how hosts are chosen), then
`claims.py` (who decides for real).
"""

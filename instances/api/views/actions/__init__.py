"""What serves each key of POST /servers/{id}/action, one module a family; `server_actions.py` puts them together.

A handler takes the view (its caller, version and body) and the instance, calls one service and gives the reply.
"""

"""The queues as a compute host that was taken over finds them: a real Redis with the users that the product makes, and
a real conductor that reads what the host writes. Needs `redis-server`.
"""

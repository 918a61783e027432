"""The one-machine deployment: what `./kilonova` hands over to once packages and the virtual environment are there.

It prepares the state directory, runs every process under one supervisor, and talks to the cloud as any client does:
over REST. It must not know Django, models or Celery: the other rooms are command lines and URLs to it, and it imports
nothing of theirs. Standard library, `requests` and `supervisor` alone.

Read `up.py` first: it is the list of steps. Then `settings.py` (which value wins), `programs.py` (what runs) and
`supervisor.py` (how it is kept running). `checks.py` is the test command, `tiny/` the builder of the guest image.
"""

"""The conductor's steps of the verbs: the database, no libvirt. Each undo stands above its step."""

"""JSON schemas of request bodies, one resource a file; those that change with the microversion are functions of it."""

"""One test for each bug that was found and mended: its name says what went wrong."""

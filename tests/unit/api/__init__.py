"""Tests of what every room's API shares."""

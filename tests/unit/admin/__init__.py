"""Tests of the operator's console as a whole; each room tests its own pages' deeds."""

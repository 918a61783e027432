"""Tests of identity over its API."""

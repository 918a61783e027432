"""Tests of images over their API."""

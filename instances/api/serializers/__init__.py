"""Rows to what goes over the wire, one resource a file. Plain functions to plain dictionaries: lists are hot."""

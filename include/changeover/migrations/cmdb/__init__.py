"""Revisions of the embedded CMDB's database."""

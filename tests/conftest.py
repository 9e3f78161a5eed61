"""Tests that this machine cannot run are left out here, with the reason."""

from changeover.testing.capabilities import pytest_collection_modifyitems  # noqa: F401 # a hook is found by its name

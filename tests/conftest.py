"""Tests that this machine cannot run are left out here, with the reason."""

from hypothesis import settings

from changeover.testing.capabilities import pytest_collection_modifyitems  # noqa: F401 # a hook is found by its name

settings.register_profile("changeover", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("changeover")

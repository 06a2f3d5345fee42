"""What tests all over ask for: `wire`, both forms of it, and `certificates`."""

import os

import pytest
from hypothesis import settings

from tests.forms import FORMS, load_form

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(params=list(FORMS))
def wire(request):
    """One form of the hot path, its modules as attributes."""
    return load_form(request.param)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """An authority, and certificates of it."""
    from tests.certificates import Certificates  # needs more than most tests do

    return Certificates(tmp_path_factory.mktemp("certificates"))

"""What the tests of a benchmark share."""

import pytest

from tests.helpers.stub_server import stub


@pytest.fixture(scope="session")
def server():
    """A stand-in for a model server that answers at once."""
    with stub() as found:
        yield found

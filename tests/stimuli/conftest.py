"""One thread: many small problems are slower with several."""

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    with threadpool_limits(1):
        yield

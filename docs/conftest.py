"""What the pages start from, which are run as tests."""

import warnings

import pytest

with warnings.catch_warnings():
    # What torch loads at the first forward-mode derivative, and deprecates itself.
    warnings.simplefilter("ignore", DeprecationWarning)
    import torch._decomp.decompositions_for_jvp  # noqa: F401


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Pages show torch's exporters and compilers as users see them, deprecations and all."""
    for item in items:
        if item.path.parent.name == "docs" and item.path.suffix == ".md":
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::FutureWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:The .grad attribute"))

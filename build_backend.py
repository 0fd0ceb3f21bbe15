"""PEP 517 hooks: setuptools', on the torch that the library will run with.

The library must be compiled against the very torch of the environment that it is installed into. As
a build requirement, torch would be downloaded anew, perhaps in another version. Under pip's
isolation a hook runs the environment's own interpreter with its site-packages hidden, so the
environment's torch is found by naming them again. Only the hooks that compile do so; the others
never need torch.
"""

import site
import sys
import sysconfig
from importlib.util import find_spec

from setuptools import build_meta
from setuptools.build_meta import (
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

ConfigSettings = dict[str, str | list[str] | None]


def build_wheel(
    wheel_directory: str,
    config_settings: ConfigSettings | None = None,
    metadata_directory: str | None = None,
) -> str:
    show_torch()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str,
    config_settings: ConfigSettings | None = None,
    metadata_directory: str | None = None,
) -> str:
    show_torch()
    return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)


def show_torch() -> None:
    """Makes the environment's torch importable, behind everything that the isolation provides."""
    if find_spec("torch"):
        return
    paths = sysconfig.get_paths()
    for directory in (*site.getsitepackages(), paths["purelib"], paths["platlib"]):
        if directory not in sys.path:
            sys.path.append(directory)
    if not find_spec("torch"):
        # uv and `python -m build` run the hooks in an environment of their own.
        raise SystemExit(
            "rank_relax must be compiled against the torch that it will run with, and this build "
            f"sees none in {sys.prefix}: install torch first, and with an installer that builds "
            "elsewhere, as uv does, pass --no-build-isolation or set extra-build-dependencies = "
            '{ rank_relax = [{ requirement = "torch", match-runtime = true }] } under [tool.uv]'
        )

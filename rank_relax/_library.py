"""Loads the operators, if the torch at hand is one that they were compiled for."""

import json
import shlex
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import torch

PACKAGE = Path(__file__).parent


def load() -> None:
    """Registers the operators as ``torch.ops.rank_relax``.

    Raises:
        ImportError: if the library is missing, or was compiled for another torch.
    """
    try:
        from rank_relax._build_info import cuda_version, library, torch_version
    except ModuleNotFoundError:
        raise ImportError(
            f"rank_relax in {PACKAGE} has not been compiled: run `{install_command()}`, or start "
            "Python in another directory if rank_relax is installed already"
        ) from None
    if not (PACKAGE / library).exists():
        raise ImportError(f"rank_relax lacks {PACKAGE / library}: run `{install_command()}`")
    check_torch(torch_version, cuda_version)
    try:
        torch.ops.load_library(PACKAGE / library)  # type: ignore[no-untyped-call]
    except OSError as error:
        raise ImportError(
            f"rank_relax's library does not load ({error}): compile it for the torch at hand with "
            f"`{install_command()}`"
        ) from error


def check_torch(built_version: str, built_cuda: str | None) -> None:
    """Refuses a torch that the library was not compiled for."""
    version, cuda = str(torch.__version__), torch.version.cuda
    if version.split(".")[:2] != built_version.split(".")[:2]:
        reason = "torch keeps its C++ ABI only inside a minor version"
    elif (cuda is None) != (built_cuda is None):
        reason = "only one of them is for CUDA"
    else:
        return
    raise ImportError(
        f"rank_relax was compiled for torch {built_version} and this is torch {version} "
        f"({reason}): run `{install_command()}`"
    )


def version() -> str:
    """That of pyproject.toml, which pip recorded when it installed the package."""
    try:
        return metadata.version("rank_relax")
    except metadata.PackageNotFoundError:  # on the path of a checkout that was never installed
        return "0+unknown"


def install_command() -> str:
    """What compiles this very installation anew, never from pip's cache of wheels."""
    return f"pip install --no-cache-dir --force-reinstall --no-deps {install_source()}"


def install_source() -> str:
    """What pip was given when it installed this package, quoted for a shell."""
    checkout = PACKAGE.parent
    if (checkout / "pyproject.toml").exists():
        return f"--editable {shlex.quote(str(checkout))}"
    try:
        record = metadata.distribution("rank_relax").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        record = None
    if record is None:  # from an index
        return "rank_relax"
    # https://packaging.python.org/en/latest/specifications/direct-url/
    origin = json.loads(record)
    url = str(origin["url"])
    if "dir_info" in origin:
        return shlex.quote(url2pathname(urlsplit(url).path))
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return shlex.quote(f"{vcs['vcs']}+{url}@{vcs['commit_id']}")
    # A wheel would bring the same library again.
    return "rank_relax" if url.endswith(".whl") else shlex.quote(url)

"""Compiles csrc/ into rank_relax._C; everything else about the package is in pyproject.toml.

torch is imported when the library is compiled and not before, so that metadata and source
distributions are made without it.

The CUDA kernels are part of the library where torch has CUDA and its toolkit is found. Of the
environment, USE_CUDA=0 leaves them out, FORCE_CUDA=1 fails where they can't be compiled, and
TORCH_CUDA_ARCH_LIST says for which devices they are.
"""

import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

LIBRARY = "rank_relax._C"
OLDEST_TORCH = (2, 11)  # as in pyproject.toml
OLDEST_PYTHON = "cp311"  # as in pyproject.toml
GIB_PER_COMPILER = 2  # a file that includes torch's headers takes 1 to 1.5
# Where neither TORCH_CUDA_ARCH_LIST nor a device says. Newer devices compile the PTX at first use.
CUDA_ARCHITECTURES = "8.0;9.0+PTX"

# No -std: torch's build adds the one that its headers need. No -march: wheels must run elsewhere.
COMPILE_FLAGS = [
    "-O3",
    "-g0",  # Python's own flags often ask for -g, which makes the library many times larger
    "-Wall",
    "-Wextra",
    "-fvisibility=hidden",  # the operators are reached through the dispatcher alone
]
# tests/cuda/run compiles with these and with warnings as errors.
CUDA_COMPILE_FLAGS = ["-O3", "-Xcompiler=-Wall,-Wextra,-fvisibility=hidden"]


class BuildExtensionLater(build_ext):
    """Hands over to torch's build command when it is run, and imports torch only then."""

    def run(self) -> None:
        import torch

        check_torch(torch.__version__)
        check_compiler()
        choose_jobs()

        from torch.utils.cpp_extension import BuildExtension

        distribution = self.distribution
        distribution.ext_modules = [library()]
        distribution.cmdclass["build_ext"] = BuildExtension
        del distribution.command_obj["build_ext"]
        command = distribution.get_command_obj("build_ext")
        assert isinstance(command, build_ext)
        command.inplace = self.inplace
        command.ensure_finalized()
        # Neither objects nor a library left by a build on another torch may be taken for ours, even
        # where the headers' time stamps don't tell; editable builds get to keep their objects.
        command.build_temp = str(Path("build", f"torch-{torch.__version__}"))
        command.force = True
        try:
            command.run()
        except RuntimeError as error:
            raise SystemExit(f"rank_relax could not be compiled, see above ({error})") from error
        record_build(Path(command.get_ext_fullpath(LIBRARY)), torch.__version__, torch.version.cuda)


def library() -> Extension:
    """The extension as torch's build command wants it."""
    from torch.utils.cpp_extension import CppExtension, CUDAExtension, include_paths

    cuda = with_cuda()
    if cuda:
        choose_architectures()
    # As system headers torch's own don't drown our warnings in theirs.
    system = [f"-isystem{path}" for path in include_paths("cuda" if cuda else "cpu")]
    flags = {"cxx": [*COMPILE_FLAGS, *system], "nvcc": CUDA_COMPILE_FLAGS}
    extension_for: Callable[..., Extension] = CUDAExtension if cuda else CppExtension
    return extension_for(
        LIBRARY,
        sources(cuda),
        include_dirs=[str(Path("csrc").resolve())],  # ninja runs elsewhere
        extra_compile_args=flags if cuda else flags["cxx"],
        py_limited_api=True,
    )


def sources(cuda: bool) -> list[str]:
    return sorted(
        path.as_posix()
        for pattern in ("cpu/*.cpp", "torch/**/*.cpp", *(["cuda/*.cu"] if cuda else []))
        for path in Path("csrc").glob(pattern)
        if cuda or path.parent.as_posix() != "csrc/torch/cuda"
    )


def with_cuda() -> bool:
    """Whether the library gets its CUDA kernels; a GPU is not asked for."""
    from torch.utils.cpp_extension import CUDA_HOME
    from torch.version import cuda as cuda_version

    if os.environ.get("USE_CUDA", "1").upper() in ("0", "OFF", "NO", "FALSE"):
        return False
    if cuda_version is None:
        missing = "this torch was built without CUDA: install one that has it"
    elif CUDA_HOME is None or not Path(CUDA_HOME, "bin", "nvcc").exists():
        missing = "the CUDA toolkit was not found: install it, or name it in CUDA_HOME"
    else:
        check_toolkit(Path(CUDA_HOME, "bin", "nvcc"), cuda_version)
        return True
    if os.environ.get("FORCE_CUDA", "0") == "1":
        raise SystemExit(f"FORCE_CUDA=1 asks for rank_relax's CUDA kernels, but {missing}")
    return False


def check_toolkit(nvcc: Path, cuda_version: str) -> None:
    """Objects of another major version of CUDA don't go together with torch's."""
    output = subprocess.run([nvcc, "--version"], text=True, capture_output=True, check=False).stdout
    release = re.search(r"release (\d+)\.\d+", output)
    major = cuda_version.split(".")[0]
    if release is not None and release[1] != major:
        raise SystemExit(
            f"this torch is built with CUDA {cuda_version}, but {nvcc} is of CUDA {release[1]}: "
            f"install the CUDA {major} toolkit, name it in CUDA_HOME, or set USE_CUDA=0 to compile "
            "rank_relax without its CUDA kernels"
        )


def choose_architectures() -> None:
    import torch

    if torch.cuda.device_count() == 0:
        given = os.environ.get("TORCH_CUDA_ARCH_LIST")
        os.environ["TORCH_CUDA_ARCH_LIST"] = given or CUDA_ARCHITECTURES


def record_build(library: Path, torch_version: str, cuda_version: str | None) -> None:
    """Leaves beside the library what rank_relax._library compares with the torch at hand."""
    library.with_name("_build_info.py").write_text(
        '"""What the library beside this file was compiled for. Written by setup.py."""\n\n'
        f"library = {library.name!r}\n"
        f"torch_version = {str(torch_version)!r}\n"
        f"cuda_version = {cuda_version!r}\n"
    )


def check_torch(version: str) -> None:
    major, minor = version.split(".")[:2]
    if (int(major), int(minor)) < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        raise SystemExit(
            f"rank_relax needs torch {oldest} or newer and found {version}: upgrade it with "
            f"`pip install 'torch>={oldest}'` and install rank_relax again"
        )


def check_compiler() -> None:
    from torch.utils.cpp_extension import get_cxx_compiler

    compiler = shlex.split(get_cxx_compiler())[0]
    if shutil.which(compiler) is None:
        raise SystemExit(
            f"rank_relax is compiled while it is installed, and the C++ compiler {compiler!r} was "
            "not found: install one (on Debian and Ubuntu `apt-get install g++`) or name yours in "
            "the environment variable CXX"
        )


def choose_jobs() -> None:
    """As many compilers at once as there are cores and memory for, unless MAX_JOBS says."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    jobs = max(1, min(os.cpu_count() or 1, memory // (GIB_PER_COMPILER << 30)))
    os.environ.setdefault("MAX_JOBS", str(jobs))
    # Where ninja is in a virtual environment that has not been activated.
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], sysconfig.get_path("scripts")])


setup(
    # As much as a source distribution has to know; library() is what is compiled.
    ext_modules=[Extension(LIBRARY, sources(cuda=False), language="c++", py_limited_api=True)],
    cmdclass={"build_ext": BuildExtensionLater},
    options={"bdist_wheel": {"py_limited_api": OLDEST_PYTHON}},
)

"""Compiles csrc/ into rank_relax._C; everything else about the package is in pyproject.toml.

torch is imported when the library is compiled and not before, so that metadata and source
distributions are made without it.

The CUDA kernels are part of the library where torch has CUDA and its toolkit is found. Of the
environment, CUDA_HOME names the toolkit, USE_CUDA=0 leaves them out, FORCE_CUDA=1 fails where they
can't be compiled, and TORCH_CUDA_ARCH_LIST says for which devices they are. -O0 or -Og in CFLAGS or
CXXFLAGS, to debug, take the place of the -O3 of the C++. RANK_RELAX_LOCAL_VERSION is what a version
has behind a +: .ci/distributions says there for which torch a wheel is.
"""

import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.egg_info import egg_info

LIBRARY = "rank_relax._C"
OLDEST_TORCH = (2, 11)  # as in pyproject.toml
OLDEST_PYTHON = "cp311"  # as in pyproject.toml
GIB_PER_COMPILER = 2  # a file that includes torch's headers takes 1 to 1.5
# Where neither TORCH_CUDA_ARCH_LIST nor a device says: those of them that the toolkit knows. Newer
# devices compile the last one's PTX at first use, which takes half a minute.
CUDA_ARCHITECTURES = ("8.0", "9.0", "10.0", "12.0")

# No -std: torch's build adds the one that its headers need. No -march: wheels must run elsewhere.
COMPILE_FLAGS = [
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


class VersionWithTorch(egg_info):
    """Gives the version of pyproject.toml the local part that a release asks for."""

    def finalize_options(self) -> None:
        # Not in setup(): an empty one in the setup.cfg of a source distribution would win.
        local = os.environ.get("RANK_RELAX_LOCAL_VERSION")
        if local:
            self.tag_build = f"+{local}"
        super().finalize_options()


def library() -> Extension:
    """The extension as torch's build command wants it."""
    from torch.utils import cpp_extension

    toolkit = cuda_toolkit()
    if toolkit is not None:
        # At its import torch guessed one, from the folder of an nvcc that may be a mere script.
        cpp_extension.CUDA_HOME = str(toolkit.home)
        choose_architectures(toolkit.nvcc)
        devices = os.environ.get("TORCH_CUDA_ARCH_LIST") or "the devices of this machine"
        print(f"The CUDA kernels are compiled by {toolkit.nvcc} for {devices}", flush=True)
    # As system headers torch's own don't drown our warnings in theirs.
    system = [
        f"-isystem{path}" for path in cpp_extension.include_paths("cuda" if toolkit else "cpu")
    ]
    flags = {"cxx": [optimization(), *COMPILE_FLAGS, *system], "nvcc": CUDA_COMPILE_FLAGS}
    extension_for: Callable[..., Extension] = (
        cpp_extension.CUDAExtension if toolkit else cpp_extension.CppExtension
    )
    extension = extension_for(
        LIBRARY,
        units(sources(cuda=toolkit is not None), Path("build", "units")),
        include_dirs=[str(Path("csrc").resolve())],  # ninja runs elsewhere
        extra_compile_args=flags if toolkit else flags["cxx"],
        py_limited_api=True,
    )
    if toolkit is not None:
        toolkit.complete(extension)
    return extension


def optimization() -> str:
    """-O3, unless the last word of the environment's flags is one for debuggers.

    Nobody chose the -O2 that conda and distributions have there, at which the kernels are slower.
    """
    flags = [flag for name in ("CFLAGS", "CXXFLAGS") for flag in os.environ.get(name, "").split()]
    last = next((flag for flag in reversed(flags) if flag.startswith("-O")), "-O3")
    return last if last in ("-O0", "-Og") else "-O3"


def sources(cuda: bool) -> list[str]:
    return sorted(
        path.as_posix()
        for pattern in ("cpu/**/*.cpp", "torch/**/*.cpp", *(["cuda/**/*.cu"] if cuda else []))
        for path in Path("csrc").glob(pattern)
        if cuda or path.parent.as_posix() != "csrc/torch/cuda"
    )


def units(sources: list[str], folder: Path) -> list[str]:
    """What the compiler gets: a folder of files that include torch's headers goes in one unit.

    The headers take most of the time. Units that are as they were aren't written again.
    """
    alone = [source for source in sources if not source.startswith("csrc/torch/")]
    rooms: dict[Path, list[Path]] = {}
    for path in map(Path, sorted(set(sources) - set(alone))):
        rooms.setdefault(path.parent, []).append(path.relative_to("csrc"))
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for room, paths in rooms.items():
        unit = folder / ("_".join(room.parts[1:]) + ".cpp")
        text = "".join(f'#include "{path.as_posix()}"\n' for path in paths)
        if not unit.exists() or unit.read_text() != text:
            unit.write_text(text)
        written.append(unit.as_posix())
    return alone + written


@dataclass(frozen=True)
class Toolkit:
    """A CUDA toolkit, which may lack what is needed of it."""

    home: Path

    @property
    def nvcc(self) -> Path:
        return self.home / "bin" / "nvcc"

    def include(self) -> Path | None:
        """The folder of the runtime's headers: conda's is known to its nvcc alone."""
        folders = [self.home / "include", *named_by(self.nvcc, "INCLUDES", "-I")]
        return next((path for path in folders if (path / "cuda_runtime_api.h").exists()), None)

    def runtime(self) -> Path | None:
        """The runtime to link with; in wheels no libcudart.so leads to the one with a number."""
        named = named_by(self.nvcc, "LIBRARIES", "-L")
        folders = [
            self.home / "lib64",
            self.home / "lib",
            *self.home.glob("lib/*-linux-gnu"),
            *named,
        ]
        found = (path for folder in folders for path in sorted(folder.glob("libcudart.so*")))
        return next(found, None)

    def problem(self, cuda_version: str) -> str | None:
        """Why it can't compile for a torch of this version of CUDA."""
        if not self.nvcc.exists():
            return f"there is no {self.nvcc}"
        release = re.search(r"release (\d+)\.\d+", ask(self.nvcc, "--version"))
        if release is not None and release[1] != cuda_version.split(".")[0]:
            # Objects of another major version don't go together with torch's.
            return f"{self.nvcc} is of CUDA {release[1]}"
        if self.include() is None:
            return f"{self.home / 'include'} has no cuda_runtime_api.h"
        if self.runtime() is None:
            return f"{self.home} has no lib64/libcudart.so or lib/libcudart.so.*"
        return None

    def complete(self, extension: Extension) -> None:
        """Names what torch expects elsewhere."""
        include, runtime = self.include(), self.runtime()
        assert include is not None
        assert runtime is not None
        if include != self.home / "include":  # -I/usr/include would upset the compiler's order
            extension.include_dirs.append(str(include))
        extension.library_dirs.append(str(runtime.parent))
        extension.libraries = [
            f":{runtime.name}" if name == "cudart" else name for name in extension.libraries
        ]


def cuda_toolkit() -> Toolkit | None:
    """What compiles the CUDA kernels, None where there are to be none; a GPU is not asked for."""
    from torch.version import cuda as cuda_version

    if os.environ.get("USE_CUDA", "1").upper() in ("0", "OFF", "NO", "FALSE"):
        return None
    if cuda_version is None:
        missing = "this torch was built without CUDA: install one that has it"
    else:
        problems = []
        for toolkit in toolkits(cuda_version):
            problem = toolkit.problem(cuda_version)
            if problem is None:
                return toolkit
            problems.append(problem)
        if problems:
            major = cuda_version.split(".")[0]
            raise SystemExit(
                f"this torch is built with CUDA {cuda_version}, and rank_relax's kernels can't be "
                f"compiled for it because {problems[0]}: set CUDA_HOME to the folder of a CUDA "
                f"{major} toolkit with nvcc, headers and libraries, or set USE_CUDA=0 to compile "
                "rank_relax without its CUDA kernels"
            )
        missing = "the CUDA toolkit was not found: install it, or name it in CUDA_HOME"
    if os.environ.get("FORCE_CUDA", "0") == "1":
        raise SystemExit(f"FORCE_CUDA=1 asks for rank_relax's CUDA kernels, but {missing}")
    return None


def toolkits(cuda_version: str) -> Iterator[Toolkit]:
    """Where a toolkit may lie, the best place first; the environment's word is the only one."""
    import torch

    chosen = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    if chosen:
        yield Toolkit(Path(chosen).resolve())
        return
    places = []
    nvcc = shutil.which("nvcc")
    if nvcc is not None:
        # A script on PATH may call an nvcc of another folder, which knows its own.
        tops = re.findall(r"^#\$ TOP=(.*)$", dry_run(nvcc), re.MULTILINE)
        places += [*map(Path, tops), Path(nvcc).parents[1]]
    wheels = Path(torch.__file__).parents[1] / "nvidia" / f"cu{cuda_version.split('.')[0]}"
    places += [wheels, Path("/usr/local/cuda")]
    for home in dict.fromkeys(place.resolve() for place in places):
        if (home / "bin" / "nvcc").exists():
            yield Toolkit(home)


def named_by(nvcc: Path, variable: str, option: str) -> list[Path]:
    """The folders that nvcc itself gives to compiler and linker."""
    lines = re.findall(rf"^#\$ {variable}=(.*)$", dry_run(nvcc), re.MULTILINE)
    words = [word for line in lines for word in shlex.split(line)]
    return [Path(word.removeprefix(option)) for word in words if word.startswith(option)]


def dry_run(nvcc: str | Path) -> str:
    """What nvcc would do, after the folders that it takes for its own."""
    return ask(nvcc, "--dryrun", "-x", "cu", "-c", os.devnull, "-o", os.devnull)


def ask(nvcc: str | Path, *options: str) -> str:
    answer = subprocess.run(
        [nvcc, *options],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # where --dryrun writes
        check=False,
    )
    return answer.stdout


def choose_architectures(nvcc: Path) -> None:
    import torch

    if os.environ.get("TORCH_CUDA_ARCH_LIST") or torch.cuda.device_count() > 0:
        return
    known = ask(nvcc, "--list-gpu-arch").split()
    chosen = [each for each in CUDA_ARCHITECTURES if f"compute_{each.replace('.', '')}" in known]
    if not chosen:
        raise SystemExit(
            f"{nvcc} knows none of the compute capabilities {', '.join(CUDA_ARCHITECTURES)}: name "
            "those of your devices in TORCH_CUDA_ARCH_LIST"
        )
    os.environ["TORCH_CUDA_ARCH_LIST"] = ";".join(chosen) + "+PTX"


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
    cmdclass={"build_ext": BuildExtensionLater, "egg_info": VersionWithTorch},
    options={"bdist_wheel": {"py_limited_api": OLDEST_PYTHON}},
)

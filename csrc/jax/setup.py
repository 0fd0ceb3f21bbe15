"""Compiles the handlers and the CPU kernels into one library; pyproject.toml has all the rest.

The library is plain: no symbol of Python is in it, so one serves every version. The environment may
name in RANK_RELAX_KERNELS a static library of all of csrc/cpu, compiled before, to be linked in
place of its files; in CXX the compiler; and in MAX_JOBS how many are to run at once.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
# A source distribution has the kernels beside it.
KERNELS = HERE / "csrc" if (HERE / "csrc").is_dir() else HERE.parent
COMPILE_FLAGS = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-g0"]
# jaxlib's own libstdc++ may be another one.
LINK_FLAGS = ["-shared", "-static-libstdc++", "-static-libgcc", "-Wl,--no-undefined"]


class BuildLibrary(build_ext):
    """Drives ninja, where setuptools would compile one file after the other."""

    def get_ext_filename(self, fullname: str) -> str:
        return os.path.join(*fullname.split(".")) + ".so"

    def build_extension(self, ext: Extension) -> None:
        library = Path(self.get_ext_fullpath(ext.name)).resolve()
        library.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(self.build_temp).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "build.ninja").write_text(rules(library))
        jobs = os.environ.get("MAX_JOBS")
        command = [ninja(), "-C", str(folder), *(["-j", jobs] if jobs else [])]
        try:
            subprocess.run(command, check=True)
        except subprocess.CalledProcessError as error:
            raise SystemExit(
                f"rank_relax_jax could not be compiled, see above ({error})"
            ) from error


class PlainWheel(bdist_wheel):
    """For one platform, and every version of Python."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


class CompleteSource(sdist):
    """Takes the kernels along, which lie outside of this folder."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        for room in ("core", "cpu"):
            shutil.copytree(KERNELS / room, Path(base_dir, "csrc", room), dirs_exist_ok=True)


def rules(library: Path) -> str:
    """What ninja is told."""
    compiler = shlex.split(os.environ.get("CXX", "g++"))
    if shutil.which(compiler[0]) is None:
        raise SystemExit(
            f"rank_relax_jax is compiled while it is installed, and the C++ compiler "
            f"{compiler[0]!r} was not found: install one (on Debian and Ubuntu "
            "`apt-get install g++`) or name yours in the environment variable CXX"
        )
    flags = [*COMPILE_FLAGS, f"-I{KERNELS}", f"-isystem{headers_of_xla()}"]
    export = f"-Wl,--version-script={HERE / 'exports.map'}"
    compiled = os.environ.get("RANK_RELAX_KERNELS")
    sources = sorted((HERE / "cpu").glob("*.cpp"))
    if not compiled:
        sources += sorted((KERNELS / "cpu").glob("**/*.cpp"))
    elif not Path(compiled).is_file():
        raise SystemExit(f"RANK_RELAX_KERNELS names {compiled}, which is no file")
    lines = [
        f"compile = {words([*compiler, *flags])}",
        f"link = {words([*compiler, *LINK_FLAGS, export])}",
        "rule compile",
        "  command = $compile -MD -MF $out.d -c $in -o $out",
        "  depfile = $out.d",
        "  deps = gcc",
        "rule link",
        "  command = $link $in -o $out",
    ]
    objects = []
    for source in sources:
        room = "handlers" if source.parent == HERE / "cpu" else "kernels"
        name = "_".join(source.relative_to(HERE if room == "handlers" else KERNELS).parts)
        objects.append(f"{room}/{name}.o")
        lines.append(f"build {objects[-1]}: compile {escaped(source)}")
    if compiled:
        objects.append(escaped(Path(compiled).resolve()))
    lines += [f"build {escaped(library)}: link {' '.join(objects)}", f"default {escaped(library)}"]
    return "\n".join(lines) + "\n"


def words(command: list[str]) -> str:
    """A command as ninja has it."""
    return shlex.join(command).replace("$", "$$")


def escaped(path: Path) -> str:
    return str(path).replace("$", "$$").replace(" ", "$ ").replace(":", "$:")


def headers_of_xla() -> Path:
    """Those in jaxlib's wheel, which need nothing else of it."""
    found = find_spec("jaxlib")
    if found is None or found.origin is None:
        raise SystemExit(
            "rank_relax_jax is compiled with headers that lie in jaxlib, which was not found: "
            "install it, or leave out --no-build-isolation"
        )
    return Path(found.origin).parent / "include"


def ninja() -> str:
    """Also where it is in an environment that has not been activated."""
    scripts = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent)]
    path = os.pathsep.join([*scripts, os.environ.get("PATH", "")])
    found = shutil.which("ninja", path=path)
    if found is None:
        raise SystemExit("rank_relax_jax is compiled by ninja, which was not found: install it")
    return found


setup(
    ext_modules=[Extension("rank_relax_jax.librank_relax_jax", sources=[])],
    cmdclass={"build_ext": BuildLibrary, "bdist_wheel": PlainWheel, "sdist": CompleteSource},
)

"""Real installs into fresh virtual environments, and what ends up in the packages.

The library is compiled once, without optimization and without the kernels for wider instruction
sets, which take most of the time; later builds from the same sources reuse its objects. pip fetches
setuptools and ninja from its index for every isolated build.
"""

import json
import os
import re
import shutil
import subprocess
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rank_relax import _library

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[2]
REINSTALL = "pip install --no-cache-dir --force-reinstall --no-deps"
TRY_OPERATOR = "import rank_relax, torch; print(torch.ops.rank_relax.soft_rank(torch.arange(3.0)))"
QUICKLY_COMPILED = "-O0 -DRANK_RELAX_PORTABLE"
ISOLATION_ADVICE = ("--no-build-isolation", "extra-build-dependencies", "match-runtime = true")


class Environment:
    """A virtual environment that sees chosen packages of the running interpreter, and no others."""

    def __init__(self, directory: Path, packages: Iterable[str]) -> None:
        venv.create(directory, symlinks=True)
        self.bin = directory / "bin"
        (self.site_packages,) = directory.glob("lib/python*/site-packages")
        for package in packages:
            self._link(distribution(package))

    def _link(self, package: Distribution) -> None:
        """Links rather than installs: the same files, without fetching gigabytes."""
        names = {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}
        for name in names:
            source, target = Path(str(package.locate_file(name))), self.site_packages / name
            if name.endswith(".dist-info"):
                # Without the record of its files pip can't uninstall the running interpreter's.
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("RECORD"))
            elif not target.exists():  # or packages share it, as CUDA's do the folder nvidia
                target.symlink_to(source)

    def run(
        self,
        *arguments: str | Path,
        cwd: Path,
        succeeds: bool = True,
        variables: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs this environment's python as in an activated one, output and errors together."""
        inherited = {
            k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_"))
        }
        path = os.pathsep.join([str(self.bin), os.environ["PATH"]])
        completed = subprocess.run(
            [self.bin / "python", *arguments],
            cwd=cwd,
            env={**inherited, "PATH": path, "CFLAGS": QUICKLY_COMPILED, **(variables or {})},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if succeeds:
            assert completed.returncode == 0, completed.stdout
        return completed


def requirements_of(*packages: str) -> set[str]:
    """The packages and all that they need, as installed here."""
    found: set[str] = set()
    queue = list(packages)
    while queue:
        name = queue.pop()
        if name in found:
            continue
        try:
            requirements = distribution(name).requires or []
        except PackageNotFoundError:  # for another platform
            continue
        found.add(name)
        queue += [re.split(r"[^\w.-]", line)[0] for line in requirements if "extra ==" not in line]
    return found


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory, bare: Environment) -> Path:
    """What a source distribution made from this checkout holds, unpacked."""
    directory = tmp_path_factory.mktemp("source")
    checkout = directory / "checkout"
    left_by_builds = ("build", "*.egg-info", "*.so", "_build_info.py")
    left_by_tools = (".*_cache", ".hypothesis", ".venv", "__pycache__")
    shutil.copytree(
        CHECKOUT, checkout, ignore=shutil.ignore_patterns(".git", *left_by_builds, *left_by_tools)
    )
    # As an editable install leaves them; they must not be distributed.
    (checkout / "rank_relax/_C.abi3.so").write_text("another machine's")
    (checkout / "rank_relax/_build_info.py").write_text("another machine's")
    bare.run("-c", call_hook("build_sdist", directory), cwd=checkout)
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as sdist:
        sdist.extractall(directory, filter="data")
    return directory / archive.name.removesuffix(".tar.gz")


def call_hook(name: str, *arguments: Path) -> str:
    """As a front end calls it, but for the isolation."""
    quoted = ", ".join(repr(str(argument)) for argument in arguments)
    return f"import sys; sys.path.insert(0, '.'); import build_backend as b; b.{name}({quoted})"


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with setuptools and without torch."""
    return Environment(tmp_path_factory.mktemp("bare"), ["setuptools"])


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with torch, pip and an index; every test installs what it needs."""
    environment = Environment(tmp_path_factory.mktemp("torch"), requirements_of("torch", "pip"))
    fetched = environment.run("-m", "pip", "install", "ninja", cwd=environment.bin, succeeds=False)
    if fetched.returncode:
        if os.environ.get("CI"):
            pytest.fail("pip reaches no index that has ninja and setuptools")
        pytest.skip(reason="pip reaches no index that has ninja and setuptools")
    return environment


@pytest.fixture(scope="session")
def wheel(
    tmp_path_factory: pytest.TempPathFactory, environment: Environment, source: Path
) -> zipfile.ZipFile:
    directory = tmp_path_factory.mktemp("wheel")
    environment.run(
        "-m", "pip", "wheel", "--no-deps", "--wheel-dir", directory, source, cwd=directory
    )
    (path,) = directory.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, wheel: zipfile.ZipFile) -> Path:
    """The shared library of the wheel."""
    return Path(wheel.extract("rank_relax/_C.abi3.so", tmp_path_factory.mktemp("library")))


# Installing


@pytest.mark.parametrize("version", ["the running interpreter's", "current"])
def test_pip_install_compiles_against_the_torch_of_the_environment(
    version: str, environment: Environment, source: Path, tmp_path: Path
) -> None:
    pip: Sequence[str | Path] = ["-m", "pip"]
    if version == "current":
        environment.run(
            "-m", "pip", "install", "--target", tmp_path, "--upgrade", "pip", cwd=tmp_path
        )
        pip = [tmp_path / "pip"]
    output = environment.run(*pip, "install", "-v", source, cwd=tmp_path).stdout
    assert not re.search(
        r"(Collecting|Downloading|Installing collected packages:.*) torch\b", output
    )
    assert "Successfully installed rank_relax" in output.replace("rank-relax", "rank_relax")

    output = environment.run("-c", TRY_OPERATOR, cwd=tmp_path).stdout
    assert "tensor([0.1941, 0.5000, 0.8059])" in output
    recorded = (environment.site_packages / "rank_relax/_build_info.py").read_text()
    assert f"torch_version = {str(torch.__version__)!r}\n" in recorded
    assert f"cuda_version = {torch.version.cuda!r}\n" in recorded


@pytest.mark.parametrize("flags", [[], ["--no-build-isolation"]], ids=str)
def test_an_editable_install_runs_from_the_sources(
    flags: list[str], environment: Environment, source: Path, tmp_path: Path
) -> None:
    environment.run("-m", "pip", "install", *flags, "--editable", source, cwd=tmp_path)
    output = environment.run(
        "-c", f"{TRY_OPERATOR}; print(rank_relax.__file__)", cwd=tmp_path
    ).stdout
    assert "tensor([0.1941, 0.5000, 0.8059])" in output
    assert str(source / "rank_relax/__init__.py") in output
    environment.run("-m", "pip", "uninstall", "--yes", "rank_relax", cwd=tmp_path)


@pytest.mark.skipif(torch.version.cuda is not None, reason="a CUDA torch compiles with nvcc")
@pytest.mark.usefixtures("wheel")
def test_nvcc_is_left_alone_when_torch_is_for_the_cpu(
    environment: Environment, source: Path, tmp_path: Path
) -> None:
    nvcc = tmp_path / "cuda/bin/nvcc"
    nvcc.parent.mkdir(parents=True)
    nvcc.write_text("#!/bin/sh\necho nvcc was called\nexit 1\n")
    nvcc.chmod(0o755)
    path = os.pathsep.join([str(environment.bin), str(nvcc.parent), os.environ["PATH"]])
    build = call_hook("build_wheel", tmp_path)
    for variables in ({"PATH": path}, {"CUDA_HOME": str(tmp_path / "cuda")}):
        output = environment.run("-c", build, cwd=source, variables=variables).stdout
        assert "nvcc was called" not in output
        # The very commands that compiled it without nvcc, so every object is up to date.
        assert "ninja: no work to do" in output


# Builds that can't work


def test_without_torch_only_the_hooks_that_compile_fail_and_with_one_sentence(
    bare: Environment, source: Path, tmp_path: Path
) -> None:
    for hook in ("get_requires_for_build_wheel", "get_requires_for_build_editable"):
        bare.run("-c", call_hook(hook), cwd=source)
    for hook in ("prepare_metadata_for_build_wheel", "prepare_metadata_for_build_editable"):
        bare.run("-c", call_hook(hook, tmp_path), cwd=source)
    for hook in ("build_wheel", "build_editable"):
        failed = bare.run("-c", call_hook(hook, tmp_path), cwd=source, succeeds=False)
        assert failed.returncode == 1
        assert len(failed.stdout.splitlines()) == 1
        assert all(advice in failed.stdout for advice in ISOLATION_ADVICE)


def test_too_old_a_torch_is_refused_with_one_sentence(
    bare: Environment, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("__version__ = '2.10.1'")
    build = call_hook("build_wheel", tmp_path)
    failed = bare.run(
        "-c", build, cwd=source, succeeds=False, variables={"PYTHONPATH": str(tmp_path)}
    )
    assert failed.returncode == 1
    assert "Traceback" not in failed.stdout
    assert "needs torch 2.11 or newer and found 2.10.1" in failed.stdout.splitlines()[-1]


def test_a_missing_compiler_is_named_in_one_sentence(
    environment: Environment, source: Path, tmp_path: Path
) -> None:
    build = call_hook("build_wheel", tmp_path)
    failed = environment.run(
        "-c", build, cwd=source, succeeds=False, variables={"CXX": "no-such-compiler"}
    )
    assert failed.returncode == 1
    assert "Traceback" not in failed.stdout
    assert "'no-such-compiler'" in failed.stdout.splitlines()[-1]
    assert "CXX" in failed.stdout.splitlines()[-1]


# How it is compiled

REPORT_OPTIMIZATION = """
from torch.utils import cpp_extension


class Report(cpp_extension.BuildExtension):
    def run(self):
        flags = self.distribution.ext_modules[0].extra_compile_args
        raise SystemExit("\\n" + " ".join(flag for flag in flags if flag.startswith("-O")))


cpp_extension.BuildExtension = Report
"""


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CFLAGS": ""}, "-O3"),
        ({"CFLAGS": "-O2 -O0 -g"}, "-O0"),
        ({"CFLAGS": "-O2", "CXXFLAGS": "-Og"}, "-Og"),
        ({"CFLAGS": "-O0", "CXXFLAGS": "-O2"}, "-O3"),
        ({"CFLAGS": "-march=nocona -O2 -ftree-vectorize"}, "-O3"),  # as conda sets it
    ],
    ids=str,
)
def test_flags_to_debug_take_the_place_of_our_optimization(
    variables: dict[str, str], expected: str, environment: Environment, source: Path, tmp_path: Path
) -> None:
    stopped = environment.run(
        "-c",
        REPORT_OPTIMIZATION + call_hook("build_wheel", tmp_path),
        cwd=source,
        succeeds=False,
        variables={"USE_CUDA": "0", **variables},
    )
    assert stopped.stdout.splitlines()[-1] == expected


# Where the CUDA toolkit is, on a torch that says it has CUDA. Nothing is compiled.


def make_toolkit(
    home: Path,
    header: str = "include/cuda_runtime_api.h",
    runtime: str = "lib64/libcudart.so",
    release: str = "13.0",
    architectures: Iterable[int] = (75, 80, 90, 100, 120),
) -> Path:
    """A toolkit with no more than is asked of it; gives its nvcc."""
    for file in (header, runtime):
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).touch()
    folders = {name: (home / file).parent for name, file in (("-I", header), ("-L", runtime))}
    return make_script(
        home / "bin/nvcc",
        f"""case $1 in
--version) echo "Cuda compilation tools, release {release}, V{release}.88" ;;
--list-gpu-arch) printf 'compute_%s\\n' {" ".join(map(str, architectures))} ;;
--dryrun)
  echo '#$ TOP={home}/bin/..
#$ INCLUDES="-I{folders["-I"]}"
#$ LIBRARIES=  "-L{home}/stubs" "-L{folders["-L"]}"' >&2
  ;;
esac
""",
    )


def make_script(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}")
    file.chmod(0o755)
    return file


ON_A_TORCH_WITH_CUDA = """
import json, os, torch
from torch.utils import cpp_extension

torch.version.cuda, torch.__file__ = {cuda!r}, {torch!r}
torch.cuda.device_count = lambda: 0


class Report(cpp_extension.BuildExtension):
    def run(self):
        (library,) = self.distribution.ext_modules
        report = dict(
            home=cpp_extension.CUDA_HOME,
            include=library.include_dirs,
            folders=library.library_dirs,
            libraries=library.libraries,
            architectures=os.environ["TORCH_CUDA_ARCH_LIST"],
        )
        raise SystemExit("\\n" + json.dumps(report))


cpp_extension.BuildExtension = Report
"""


@pytest.fixture
def build_with_cuda(
    environment: Environment, source: Path, tmp_path: Path
) -> Callable[..., list[str]]:
    """Gives what a build prints until it would compile, and last what that would be."""

    def build(cuda: str = "13.0", path: Path | None = None, **variables: str) -> list[str]:
        torch_file = str(tmp_path / "site-packages/torch/__init__.py")
        script = ON_A_TORCH_WITH_CUDA.format(cuda=cuda, torch=torch_file)
        names = ("CUDA_HOME", "CUDA_PATH", "TORCH_CUDA_ARCH_LIST", "USE_CUDA", "FORCE_CUDA")
        compiler = shutil.which("c++")
        assert compiler is not None
        # No nvcc of this machine's is on this path.
        variables = {"CXX": compiler, "PATH": f"{environment.bin}:{path}", **variables}
        stopped = environment.run(
            "-c",
            script + call_hook("build_wheel", tmp_path),
            cwd=source,
            succeeds=False,
            variables={**dict.fromkeys(names, ""), **variables},
        )
        assert stopped.returncode == 1
        assert "Traceback" not in stopped.stdout
        return stopped.stdout.splitlines()

    return build


@pytest.mark.parametrize(
    "place", ["a script's nvcc", "wheels", "CUDA_HOME", "CUDA_HOME of conda"], ids=str
)
def test_the_toolkit_is_found(
    place: str, build_with_cuda: Callable[..., list[str]], tmp_path: Path
) -> None:
    home, include, runtime = tmp_path / "toolkit", "include", "lib64/libcudart.so"
    if place == "a script's nvcc":
        nvcc = make_toolkit(home)
        script = make_script(tmp_path / "local/bin/nvcc", f'exec {nvcc} "$@"\n')
        (tmp_path / "local/include").mkdir()
        lines = build_with_cuda(path=script.parent)
    elif place == "wheels":
        home, runtime = tmp_path / "site-packages/nvidia/cu13", "lib/libcudart.so.13"
        make_toolkit(home, runtime=runtime)
        lines = build_with_cuda()
    else:
        if place == "CUDA_HOME of conda":
            include, runtime = "targets/x86/include", "targets/x86/lib/libcudart.so"
        make_toolkit(home, header=f"{include}/cuda_runtime_api.h", runtime=runtime)
        another = make_toolkit(tmp_path / "another")
        lines = build_with_cuda(path=another.parent, CUDA_HOME=str(home))
    found = json.loads(lines[-1])
    assert found["home"] == str(home)
    assert str(home / include) in found["include"]
    assert str((home / runtime).parent) in found["folders"]
    assert f":{Path(runtime).name}" in found["libraries"]
    assert "cudart" not in found["libraries"]  # which is not what a wheel's file is called


@pytest.mark.parametrize("lacking", ["nvcc", "header", "runtime", "script's toolkit"])
def test_an_incomplete_toolkit_is_refused_with_one_sentence_before_compiling(
    lacking: str, build_with_cuda: Callable[..., list[str]], tmp_path: Path
) -> None:
    home = tmp_path / "toolkit"
    nvcc = make_toolkit(home, release="99.0")
    named = {"CUDA_HOME": str(home)}
    if lacking == "script's toolkit":
        make_script(nvcc, "echo release 99.0")
        shutil.rmtree(home / "include")
        named = {"path": nvcc.parent}
        reason = f"{home}/include has no cuda_runtime_api.h"
    elif lacking == "header":
        (home / "include/cuda_runtime_api.h").unlink()
        reason = f"{home}/include has no cuda_runtime_api.h"
    elif lacking == "runtime":
        (home / "lib64/libcudart.so").unlink()
        reason = f"{home} has no lib64/libcudart.so"
    else:
        nvcc.unlink()
        reason = f"there is no {nvcc}"
    sentence = build_with_cuda(cuda="99.0", **named)[-1]
    assert f"because {reason}" in sentence
    assert "set CUDA_HOME to" in sentence
    assert "USE_CUDA=0" in sentence


@pytest.mark.parametrize("release", ["12.9", "13.0"])
def test_a_toolkit_of_another_cuda_than_torchs_is_refused_with_one_sentence(
    release: str, build_with_cuda: Callable[..., list[str]], tmp_path: Path
) -> None:
    nvcc = make_toolkit(tmp_path / "cuda", release=release)
    sentence = build_with_cuda(cuda="11.8", CUDA_HOME=str(tmp_path / "cuda"))[-1]
    assert "built with CUDA 11.8" in sentence
    assert f"{nvcc} is of CUDA {release.split('.')[0]}" in sentence
    assert "USE_CUDA=0" in sentence


@pytest.mark.parametrize(
    ("known", "given", "expected"),
    [
        ((75, 80, 90), "", "8.0;9.0+PTX"),
        ((80, 90, 100, 103, 120, 121), "", "8.0;9.0;10.0;12.0+PTX"),
        ((90, 100, 120, 140), "", "9.0;10.0;12.0+PTX"),
        ((75, 80, 90), "7.5", "7.5"),
    ],
)
def test_the_architectures_are_those_given_or_those_of_the_usual_ones_that_nvcc_knows(
    known: tuple[int, ...],
    given: str,
    expected: str,
    build_with_cuda: Callable[..., list[str]],
    tmp_path: Path,
) -> None:
    make_toolkit(tmp_path / "cuda", architectures=known)
    home = str(tmp_path / "cuda")
    lines = build_with_cuda(CUDA_HOME=home, TORCH_CUDA_ARCH_LIST=given)
    assert json.loads(lines[-1])["architectures"] == expected


# What is distributed


def test_the_source_distribution_holds_all_that_a_build_and_its_tests_need(source: Path) -> None:
    expected = {
        path.relative_to(CHECKOUT)
        for directory in ("csrc", "rank_relax", "tests")
        for path in (CHECKOUT / directory).rglob("*")
        if path.is_file() and path.suffix not in (".so", ".pyc") and path.name != "_build_info.py"
    }
    # But for what tools have left.
    expected = {
        path
        for path in expected
        if not any(part.startswith(".") or part.endswith(".egg-info") for part in path.parts)
    }
    expected |= {Path(name) for name in ("LICENSE", "README.md", "CHANGELOG.md")}
    expected |= {Path(name) for name in ("build_backend.py", "pyproject.toml", "setup.py")}
    found = {path.relative_to(source) for path in source.rglob("*")}
    assert expected <= found


def test_what_a_build_left_in_the_checkout_is_not_distributed(tmp_path: Path, source: Path) -> None:
    with tarfile.open(source.with_name(f"{source.name}.tar.gz")) as sdist:
        names = sdist.getnames()
    assert not [name for name in names if name.endswith((".so", ".pyc", "_build_info.py"))]


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {
        "rank_relax/__init__.py",
        "rank_relax/_C.abi3.so",
        "rank_relax/_build_info.py",
        "rank_relax/include/rank_relax/rank_relax.h",
        "rank_relax/py.typed",
        "rank_relax/share/cmake/rank_relax/rank_relaxConfig.cmake",
    } <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"rank_relax"}
    sources = {name for name in names if name.endswith((".h", ".cpp"))}
    assert sources == {"rank_relax/include/rank_relax/rank_relax.h"}


def test_one_wheel_serves_every_python(wheel: zipfile.ZipFile) -> None:
    assert "-cp311-abi3-" in str(wheel.filename)


@pytest.mark.parametrize("local", ["", "+torch2.13.cpu"])
def test_the_version_is_that_of_pyproject_and_the_local_part_that_a_release_asks_for(
    local: str, bare: Environment, source: Path, tmp_path: Path
) -> None:
    hook = call_hook("prepare_metadata_for_build_wheel", tmp_path)
    variables = {"RANK_RELAX_LOCAL_VERSION": local.removeprefix("+")}
    bare.run("-c", hook, cwd=source, variables=variables)
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    (metadata,) = tmp_path.glob("*.dist-info/METADATA")
    assert metadata.parent.name == f"rank_relax-{version}{local}.dist-info"
    assert f"\nVersion: {version}{local}\n" in metadata.read_text()


def test_the_metadata_pins_no_torch(wheel: zipfile.ZipFile) -> None:
    (metadata,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
    assert "\nRequires-Dist: torch>=2.11\n" in wheel.read(metadata).decode()
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    assert not any("torch" in requirement for requirement in project["build-system"]["requires"])


# The library


@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm, of binutils")
def test_the_library_uses_no_symbol_of_python(library: Path) -> None:
    listed = subprocess.run(["nm", "-D", library], text=True, capture_output=True, check=True)
    names = [line.split()[-1] for line in listed.stdout.splitlines()]
    assert names
    assert not [name for name in names if re.match(r"_?Py[A-Z_]", name)]


@pytest.mark.skipif(shutil.which("readelf") is None, reason="needs readelf, of binutils")
def test_the_library_needs_torch_but_not_its_python_part(library: Path) -> None:
    listed = subprocess.run(["readelf", "-d", library], text=True, capture_output=True, check=True)
    needed = re.findall(r"NEEDED.*\[(.*?)\]", listed.stdout)
    assert "libtorch_cpu.so" in needed
    assert not [name for name in needed if "python" in name]


def test_the_torch_free_directories_include_no_torch() -> None:
    includes = [
        line
        for directory in ("core", "cpu", "cuda")
        for file in (CHECKOUT / "csrc" / directory).rglob("*.*")
        for line in file.read_text().splitlines()
        if re.match(r"\s*#\s*include\s*[<\"](torch|ATen|c10|caffe2|pybind11|Python\.h)", line)
    ]
    assert includes == []


# The guard


@pytest.fixture
def installed_copy(wheel: zipfile.ZipFile, tmp_path: Path) -> Path:
    """The wheel's package in a directory of its own, to be broken."""
    directory = tmp_path / "packages"
    wheel.extractall(directory)
    return directory / "rank_relax"


def rewrite(build_info: Path, **changes: str | None) -> None:
    text = build_info.read_text()
    for name, value in changes.items():
        text, count = re.subn(rf"^{name} = .*$", f"{name} = {value!r}", text, flags=re.MULTILINE)
        assert count == 1
    build_info.write_text(text)


def import_error(environment: Environment, package: Path) -> str:
    """The one line that an import of this very package ends with."""
    failed = environment.run(
        "-c",
        "import rank_relax",
        cwd=package.parent,
        succeeds=False,
        variables={"PYTHONPATH": str(package.parent)},
    )
    assert failed.returncode == 1
    last = failed.stdout.splitlines()[-1]
    assert last.startswith("ImportError: ")
    return last


def other_minor_version() -> str:
    major, minor = torch.__version__.split(".")[:2]
    return f"{major}.{int(minor) - 1}.0"


@pytest.mark.parametrize(
    "changes",
    [
        {"torch_version": other_minor_version()},
        {"cuda_version": "13.0" if torch.version.cuda is None else None},
    ],
    ids=str,
)
def test_a_library_for_another_torch_is_refused_with_the_command_to_run(
    changes: dict[str, str | None], environment: Environment, installed_copy: Path
) -> None:
    rewrite(installed_copy / "_build_info.py", **changes)
    message = import_error(environment, installed_copy)
    assert f"`{REINSTALL} rank_relax`" in message
    assert torch.__version__ in message


def test_a_library_for_another_patch_release_of_torch_is_accepted(
    environment: Environment, installed_copy: Path, tmp_path: Path
) -> None:
    same_minor = ".".join(torch.__version__.split(".")[:2])
    rewrite(installed_copy / "_build_info.py", torch_version=f"{same_minor}.99")
    environment.run(
        "-c", TRY_OPERATOR, cwd=tmp_path, variables={"PYTHONPATH": str(installed_copy.parent)}
    )


def test_a_library_that_does_not_load_is_refused_with_the_command_to_run(
    environment: Environment, installed_copy: Path
) -> None:
    (installed_copy / "_C.abi3.so").write_text("not a library")
    assert f"`{REINSTALL} rank_relax`" in import_error(environment, installed_copy)


def test_a_missing_library_is_named_with_the_command_to_run(
    environment: Environment, installed_copy: Path
) -> None:
    (installed_copy / "_C.abi3.so").unlink()
    message = import_error(environment, installed_copy)
    assert "_C.abi3.so" in message
    assert f"`{REINSTALL} rank_relax`" in message


def test_an_uncompiled_checkout_says_how_to_compile_it(
    environment: Environment, installed_copy: Path
) -> None:
    (installed_copy / "_build_info.py").unlink()
    (installed_copy.parent / "pyproject.toml").touch()
    message = import_error(environment, installed_copy)
    assert "has not been compiled" in message
    assert f"`{REINSTALL} --editable {installed_copy.parent}`" in message


@pytest.mark.parametrize(
    ("record", "source"),
    [
        (None, "rank_relax"),
        ({"url": "file:///a%20b/rank_relax", "dir_info": {}}, "'/a b/rank_relax'"),
        ({"url": "https://x.org/r-1.tar.gz", "archive_info": {}}, "https://x.org/r-1.tar.gz"),
        ({"url": "https://x.org/r-1.whl", "archive_info": {}}, "rank_relax"),
        (
            {"url": "https://x.org/r.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "git+https://x.org/r.git@abc",
        ),
    ],
    ids=["index", "directory", "archive", "wheel", "repository"],
)
def test_the_command_names_what_pip_was_given(
    record: object, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = None if record is None else json.dumps(record)
    package = SimpleNamespace(read_text=lambda name: text)
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: package)
    monkeypatch.setattr(_library, "PACKAGE", tmp_path / "rank_relax")
    assert _library.install_command() == f"{REINSTALL} {source}"

"""What is installed: a package that needs JAX alone, and a library that any Python can load."""

import os
import shlex
import subprocess
import sys
import tarfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
import rank_relax_jax
from rank_relax_jax import _kernel, _library

SOURCES = Path(__file__).resolve().parents[2] / "csrc"
LIBRARY = Path(rank_relax_jax.__file__).with_name("librank_relax_jax.so")


def said_by(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_neither_torch_nor_its_package_is_imported() -> None:
    script = "import sys, rank_relax_jax; print({'torch', 'rank_relax'} & set(sys.modules))"
    assert said_by(sys.executable, "-c", script).strip() == "set()"


def test_the_wheel_is_for_every_version_of_python() -> None:
    wheel = distribution("rank_relax_jax").read_text("WHEEL") or ""
    assert "Tag: py3-none-linux" in wheel
    assert "Root-Is-Purelib: false" in wheel


def test_the_licence_is_installed() -> None:
    text = (SOURCES.parent / "LICENSE").read_text()
    assert (SOURCES / "jax" / "LICENSE").read_text() == text
    files = distribution("rank_relax_jax").files or []
    (licence,) = (file for file in files if file.name == "LICENSE")
    assert licence.read_text() == text


def test_the_library_exports_its_handlers_and_nothing_else() -> None:
    exported = {
        line.split()[-1] for line in said_by("nm", "-D", "--defined-only", LIBRARY).splitlines()
    }
    asked = {"rank_relax_max_order", "rank_relax_linear_spread", "rank_relax_ffi_version"}
    assert exported == {*_kernel.NAMES, *asked}


def test_the_library_needs_no_python_and_no_libstdcxx() -> None:
    needed = said_by("readelf", "-d", LIBRARY)
    assert "libpython" not in needed
    assert "libstdc++" not in needed


def test_a_library_for_a_newer_jaxlib_is_refused_with_a_sentence() -> None:
    with pytest.raises(ImportError, match="install a newer jaxlib"):
        _library._check_version(99_000)


def test_a_missing_library_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_library, "_LIBRARY", Path("/nowhere/librank_relax_jax.so"))
    with pytest.raises(ImportError, match=r"install it with `pip install ./csrc/jax`"):
        _library.load.__wrapped__()


@pytest.mark.slow
def test_a_source_distribution_is_complete(tmp_path: Path) -> None:
    kernels = os.environ.get("RANK_RELAX_KERNELS")
    build = "import sys; from setuptools import build_meta; "
    subprocess.run(
        [sys.executable, "-c", build + "build_meta.build_sdist(sys.argv[1])", tmp_path],
        cwd=SOURCES / "jax",
        capture_output=True,
        check=True,
    )
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    copies = {
        file: unpacked / "csrc" / file.relative_to(SOURCES)
        for room in ("core", "cpu")
        for file in (SOURCES / room).rglob("*")
    }
    here = SOURCES / "jax"
    handlers = [*here.glob("cpu/*"), *here.glob("cuda/*"), *here.glob("rank_relax_jax/**/*.py")]
    single = ["exports.map", "setup.py", "pyproject.toml", "README.md", "LICENSE"]
    for file in [
        *handlers,
        here / "rank_relax_jax" / "py.typed",
        *(here / name for name in single),
    ]:
        copies[file] = unpacked / file.relative_to(here)
    for file, copy in copies.items():
        assert copy.is_dir() if file.is_dir() else copy.read_bytes() == file.read_bytes()
    if not kernels:
        return  # all of csrc/cpu would take minutes
    # Whether it compiles is asked, not how fast it is then.
    compiler = tmp_path / "without_optimising"
    compiler.write_text(f'#!/bin/sh\nexec {os.environ.get("CXX", "g++")} "$@" -O0\n')
    compiler.chmod(0o755)
    subprocess.run(
        [sys.executable, "-c", build + "build_meta.build_wheel(sys.argv[1])", tmp_path],
        cwd=unpacked,
        env={**os.environ, "CXX": shlex.quote(str(compiler))},
        capture_output=True,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert "py3-none-linux" in wheel.name

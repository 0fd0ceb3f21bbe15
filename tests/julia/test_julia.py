"""RankRelax.jl without Julia: it parses, and its calls and structs are those of the C header.

And the same calls are made from C, with the types that Julia would use.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import tree_sitter_julia
from tree_sitter import Language, Node, Parser

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "csrc" / "julia" / "RankRelax.jl"
SOURCE = (PACKAGE / "src" / "RankRelax.jl").read_text()
OWN_TESTS = (PACKAGE / "test" / "runtests.jl").read_text()
INCLUDE = REPOSITORY / "csrc" / "c" / "include"
HEADER = (INCLUDE / "rank_relax.h").read_text()

# What ccall passes for each type, as the header writes it.
IN_C = {
    "Cstring": {"const char*"},
    "Csize_t": {"size_t"},
    "Float64": {"double"},
    "Int32": {"int32_t", "rank_relax_status"},
    "UInt32": {"uint32_t"},
    "Ptr{Ptr{Tensor}}": {"const rank_relax_tensor* const*"},
    "Ptr{Tensor}": {"const rank_relax_tensor*"},
    "Ref{Options}": {"const rank_relax_options*"},
    "Ref{Tensor}": {"const rank_relax_tensor*"},
}
BYTES = {"Csize_t": 8, "Float64": 8, "Int32": 4, "Int64": 8, "UInt64": 8, "UInt16": 2, "UInt8": 1}


class Call(NamedTuple):
    function: str
    result: str
    types: list[str]
    values: int  # that are given for them


def parse(source: str) -> Node:
    return Parser(Language(tree_sitter_julia.language())).parse(source.encode()).root_node


def text(node: Node) -> str:
    assert node.text is not None
    return re.sub(r"\s+", "", node.text.decode())


def nodes(node: Node, kind: str) -> Iterator[Node]:
    if node.type == kind:
        yield node
    for child in node.children:
        yield from nodes(child, kind)


def function_of(pointer: Node, root: Node) -> str:
    """Of ccall's first argument: symbol(:name), dlsym(.., :name), or a variable that is that."""
    if pointer.type == "identifier":
        assigned = [
            node.named_children[-1]
            for node in nodes(root, "assignment")
            if text(node.named_children[0]) == text(pointer)
        ]
        assert len(assigned) == 1, f"{text(pointer)} must be assigned once"
        pointer = assigned[0]
    found = re.fullmatch(r"(?:symbol\(|dlsym\(\w+,):(\w+)\)", text(pointer))
    assert found is not None, f"{text(pointer)} names no function"
    return found[1]


def ccalls(source: str) -> list[Call]:
    root = parse(source)
    calls = []
    for node in nodes(root, "call_expression"):
        name, arguments = node.named_children[:2]
        if text(name) != "ccall":
            continue
        pointer, result, types, *values = arguments.named_children
        assert types.type == "tuple_expression"
        names = [text(child) for child in types.named_children]
        calls.append(Call(function_of(pointer, root), text(result), names, len(values)))
    assert "@ccall" not in source, "calls are written in one way, which the test reads"
    return calls


def declarations(header: str) -> dict[str, tuple[str, list[str]]]:
    """The result and the types of the parameters of each function of the header."""
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    found = re.findall(r"^([a-z][\w ]*[ *]+)(\w+)\(([^()]*)\);", code, flags=re.MULTILINE)
    functions = {}
    for result, name, parameters in found:
        if result.startswith("typedef"):
            continue
        types = [] if parameters == "void" else [of_parameter(one) for one in parameters.split(",")]
        functions[name] = (result.strip(), types)
    return functions


def of_parameter(declared: str) -> str:
    found = re.fullmatch(r"(.*?)\w+", " ".join(declared.split()))
    assert found is not None
    return found[1].strip()


def disagreements(source: str) -> list[str]:
    """What the calls of a Julia file and the header say differently."""
    functions, found = declarations(HEADER), []
    for call in ccalls(source):
        if call.function not in functions:
            found.append(f"{call.function} is not in the header")
            continue
        result, parameters = functions[call.function]
        if len(call.types) != len(parameters) or call.values != len(parameters):
            found.append(f"{call.function} has {len(parameters)} parameters")
        pairs = [(call.result, result), *zip(call.types, parameters, strict=False)]
        found += [
            f"{call.function}: {ours} is not {theirs}"
            for ours, theirs in pairs
            if theirs not in IN_C.get(ours, ())
        ]
    return found


def fields(source: str, struct: str) -> list[tuple[str, str]]:
    for node in nodes(parse(source), "struct_definition"):
        if text(node.named_children[0]) == struct:
            typed = [text(child).split("::") for child in node.named_children[1:]]
            return [(name, kind) for name, kind in typed]
    raise AssertionError(f"there is no struct {struct}")


def offsets(source: str, struct: str) -> dict[str, int]:
    """Of the fields and, under the name "", of the end: a Julia struct lies as one of C."""
    end, widest, found = 0, 1, {}
    for name, kind in fields(source, struct):
        size = 8 if kind.startswith("Ptr{") else BYTES[kind]
        end = -(-end // size) * size
        found[name] = end
        end, widest = end + size, max(widest, size)
    return found | {"": -(-end // widest) * widest}


def compiles(code: str) -> bool:
    command = ["gcc", "-std=c11", "-I", str(INCLUDE), "-fsyntax-only", "-x", "c", "-"]
    return subprocess.run(command, input=code, text=True, capture_output=True).returncode == 0


def layout_checks(source: str, struct: str, c_name: str) -> str:
    """C code that compiles where the struct of that name lies in memory as Julia's."""
    lines = ["#include <rank_relax.h>"]
    for field, offset in offsets(source, struct).items():
        inner = re.sub(r"^(device|dtype)_", r"\1.", field)
        what = f"offsetof({c_name}, {inner})" if field else f"sizeof({c_name})"
        lines.append(f'_Static_assert({what} == {offset}, "{field}");')
    return "\n".join(lines) + "\n"


def test_the_package_parses() -> None:
    assert not parse(SOURCE).has_error
    assert not parse(OWN_TESTS).has_error


def test_a_broken_file_does_not_parse() -> None:
    assert parse(SOURCE.replace("losses[1]\n", "losses[1\n", 1)).has_error
    assert parse(SOURCE.removesuffix("end\n")).has_error


def test_the_linter_and_the_formatter_find_nothing() -> None:
    fatou = Path(sys.executable).with_name("fatou")
    for command in (["lint"], ["format", "--check"]):
        subprocess.run([fatou, "--no-config", *command, PACKAGE], check=True)


def test_the_linter_finds_a_broken_file(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jl"
    broken.write_text(SOURCE.removesuffix("end\n"))
    fatou = Path(sys.executable).with_name("fatou")
    assert subprocess.run([fatou, "--no-config", "lint", broken]).returncode != 0


def test_every_call_has_the_types_of_the_header() -> None:
    assert {call.function for call in ccalls(SOURCE)} == {
        "rank_relax_last_error",
        "rank_relax_soft_rank",
        "rank_relax_soft_rank_derivative",
        "rank_relax_spearman_loss",
        "rank_relax_spearman_loss_backward",
        "rank_relax_version",
    }
    assert disagreements(SOURCE) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("symbol(:rank_relax_soft_rank),", "symbol(:rank_relax_soft_ranks),"),
        (
            "symbol(:rank_relax_soft_rank),\n                Int32,",
            "symbol(:rank_relax_soft_rank),\n                Int64,",
        ),
        ("(Ref{Tensor}, Ref{Options}, Ref{Tensor}),", "(Ref{Tensor}, Ref{Options}),"),
        ("(Ref{Tensor}, Ref{Options}, Ref{Tensor}),", "(Ref{Tensor}, Ref{Tensor}, Ref{Options}),"),
        ("Ptr{Ptr{Tensor}}, Int32,", "Ptr{Tensor}, Int32,"),
        ("Ptr{Ptr{Tensor}}, Int32,", "Ptr{Ptr{Tensor}}, Csize_t,"),
        ("Cstring,\n", "Ptr{Cvoid},\n"),
        ("ccall(last_error, Cstring, ())", "ccall(last_error, Cstring, (Int32,))"),
        ("UInt32, ())", "UInt32, (), 1)"),
    ],
)
def test_a_wrong_type_is_found(right: str, wrong: str) -> None:
    assert right in SOURCE
    assert disagreements(SOURCE.replace(right, wrong, 1)) != []


def test_every_type_has_its_own_dtype() -> None:
    codes = re.search(r"^const CODES = \(\n(.*?)^\)$", SOURCE, flags=re.M | re.S)
    assert codes is not None
    assert dict(re.findall(r"\((\d), \(([\w, ]+?),?\)\),", codes[1])) == {
        "0": "Int8, Int16, Int32, Int64",  # signed, as the header has it
        "1": "UInt8, UInt16, UInt32, UInt64",
        "2": "Float16, Float32, Float64",
        "6": "Bool",
    }
    methods = re.findall(r"^ *(?:@eval )?dtype\((.*?)\) = (\w+|\()", SOURCE, flags=re.M)
    assert methods == [("::Type{$T}", "("), ("T::Type", "throw")]


@pytest.mark.parametrize("struct", ["Tensor", "Options"])
def test_structs_lie_in_memory_as_in_the_header(struct: str) -> None:
    c_name = f"rank_relax_{struct.lower()}"
    assert compiles(layout_checks(SOURCE, struct, c_name))
    # A field of another width moves those behind it.
    wider = SOURCE.replace("device_id::Int32", "device_id::Int64").replace(
        "regularization_strength::Float64\n", "regularization_strength::Float64\n    more::Int64\n"
    )
    assert not compiles(layout_checks(wider, struct, c_name))


def test_the_program_in_c_has_the_types_of_the_package() -> None:
    program = (Path(__file__).parent / "ccall.c").read_text()
    assert "rank_relax.h" not in program
    for call in ccalls(SOURCE):
        assert f'"{call.function}"' in program
    widths = {"Csize_t": "size_t", "Float64": "double"}
    for struct in ("Tensor", "Options"):
        body = re.search(rf"struct {struct} {{\n(.*?)\n}};", program, flags=re.DOTALL)
        assert body is not None
        in_c = [line.strip().rstrip(";").rsplit(" ", 1) for line in body[1].splitlines()]
        ours = fields(SOURCE, struct)
        assert [name for _, name in in_c] == [name for name, _ in ours]
        for (kind, _), (_, julia) in zip(in_c, ours, strict=True):
            pointee = re.fullmatch(r"Ptr\{(\w+)\}", julia)
            expected = widths.get(julia, f"{julia.lower()}_t")
            if pointee is not None:
                names = {"Cvoid": "void", "Tensor": "struct Tensor"}
                expected = names.get(pointee[1], f"{pointee[1].lower()}_t") + "*"
            assert kind == expected


def library() -> Path:
    """librank_relax.so, from RANK_RELAX_LIB_DIR if that is set, else built in build/c."""
    if folder := os.environ.get("RANK_RELAX_LIB_DIR"):
        return Path(folder) / "librank_relax.so"
    build = REPOSITORY / "build" / "c"
    cmake = Path(sys.executable).with_name("cmake")
    configure = [cmake, "-S", REPOSITORY / "csrc", "-B", build, "-G", "Ninja"]
    for command in (configure, [cmake, "--build", build]):
        subprocess.run(command, check=True, capture_output=True)
    return build / "librank_relax.so"


@pytest.mark.slow
def test_the_calls_give_the_right_numbers_from_c(tmp_path: Path) -> None:
    program = tmp_path / "ccall"
    source = Path(__file__).with_name("ccall.c")
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *flags, str(source), "-o", str(program), "-lm", "-ldl"], check=True)
    subprocess.run([program, library()], check=True)


@pytest.mark.parametrize("page", [REPOSITORY / "docs" / "julia.md", PACKAGE / "README.md"])
def test_the_programs_of_the_pages_parse(page: Path) -> None:
    programs = re.findall(r"^```julia\n(.*?)^```$", page.read_text(), flags=re.M | re.S)
    assert programs
    exported = set(re.findall(r"\w+", next(re.finditer(r"^export (.*)$", SOURCE, re.M))[1]))
    for program in programs:
        assert not parse(program).has_error
        # Each function that is called is one of the package's, or of those named here.
        known = exported | {"first", "gradient", "loss", "randn"}
        called = {text(n.named_children[0]) for n in nodes(parse(program), "call_expression")}
        assert called <= known, called - known

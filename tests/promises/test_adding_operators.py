"""One declaration an operator: nothing else has to know its name, and docs/adding says so truly."""

import re
from pathlib import Path

import pytest
import torch

from rank_relax import _operators

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = CHECKOUT / "docs" / "adding"
IN_BACKTICKS = re.compile(r"`((?:csrc|rank_relax|tests|docs)/[\w/.]+)`")
MOST_FILES = 12
ON_CUDA = "csrc/torch/cuda/soft_topk.cpp"


def counted_files() -> list[str]:
    """Those in the first column of the page's table."""
    rows = (PAGES / "operator.md").read_text().splitlines()
    return [match[1] for row in rows if (match := re.match(r"\| `([\w/.]+)` \|", row))]


def sources() -> dict[str, str]:
    folders = (CHECKOUT / "csrc" / "torch", CHECKOUT / "rank_relax")
    return {
        path.relative_to(CHECKOUT).as_posix(): path.read_text()
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in (".h", ".cpp", ".py")
    }


def has_kernel(name: str, key: str) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(f"rank_relax::{name}", key)


def test_an_operator_touches_twelve_files_at_most_and_they_are_there() -> None:
    files = counted_files()
    assert 8 <= len(files) == len(set(files)) <= MOST_FILES
    assert [file for file in files if not (CHECKOUT / file).exists()] == []
    assert all("topk" in (CHECKOUT / file).read_text().lower() for file in files)


def test_no_other_file_names_a_private_operator_of_the_page() -> None:
    private = [name for name in _operators.OPERATORS if name.startswith("_soft_topk")]
    assert len(private) == 2
    in_cpp = ["".join(part.capitalize() for part in name.split("_")) for name in private]
    names = re.compile("|".join([*(name.strip("_") for name in private), *in_cpp]), re.IGNORECASE)
    naming = {file for file, text in sources().items() if names.search(text)}
    assert naming <= {*counted_files(), ON_CUDA}
    assert ON_CUDA in (PAGES / "operator.md").read_text()
    assert "csrc/torch/operators/soft_topk.h" in naming


def test_the_pages_are_short_and_name_files_that_exist() -> None:
    for name, most in (("operator.md", 60), ("device.md", 50), ("loss.md", 60), ("cdf.md", 70)):
        text = (PAGES / name).read_text()
        named = IN_BACKTICKS.findall(text)
        assert named
        assert [file for file in named if not (CHECKOUT / file).exists()] == []
        assert len(text.splitlines()) <= most


def test_the_page_of_devices_knows_every_way_that_an_operator_may_go() -> None:
    _, _, _, elsewhere = torch.ops.rank_relax._declarations()
    rows = (PAGES / "device.md").read_text().splitlines()
    ways = {match[1] for row in rows if (match := re.match(r"\| `([a-z ]+)` \| [a-z]", row))}
    assert ways == set(elsewhere)


def test_only_its_declaration_writes_the_name_of_an_operator_in_cpp() -> None:
    quoted = {f'"{name}"' for name in _operators.OPERATORS if name.startswith("_")}
    for file, text in sources().items():
        if file.startswith("csrc/torch/operators/"):
            continue
        assert [name for name in quoted if name in text] == [], file


def test_every_operator_is_declared_and_no_other_is() -> None:
    all_names = [
        name.removeprefix("rank_relax::")
        for name in torch._C._dispatch_get_all_op_names()
        if name.startswith("rank_relax::")
    ]
    with_tensors = [name for name in all_names if _operators.overload(name)._schema.arguments]
    assert sorted(with_tensors) == sorted(_operators.OPERATORS)


def test_every_operator_has_the_kernels_that_its_declaration_promises() -> None:
    names, _, _, elsewhere = torch.ops.rank_relax._declarations()
    for name, way in zip(names, elsewhere, strict=True):
        decomposed = way == "decomposed"
        assert has_kernel(name, "CompositeImplicitAutograd") == decomposed, name
        assert has_kernel(name, "Meta") != decomposed, name
        assert has_kernel(name, "Batched") != decomposed, name
        everywhere = way in ("tensor operators", "on the host")
        assert has_kernel(name, "CompositeExplicitAutograd") == everywhere, name
        assert has_kernel(name, "CPU") == (way != "decomposed"), name
        assert has_kernel(name, "CUDA") or way != "nowhere", name


def test_the_lists_of_an_operator_are_a_tensor_of_its_schema() -> None:
    for name, place in _operators.OPERATORS.items():
        arguments = _operators.overload(name)._schema.arguments
        assert str(arguments[place].type) == "Tensor", name
        if name in _operators.SHARED:
            assert str(arguments[1].type) == "Tensor", name


def test_operators_without_derivatives_are_batched_for_gradients_too() -> None:
    from torch._vmap_internals import _vmap

    hard_rank = torch.ops.rank_relax.hard_rank.default
    x = torch.randn(3, 2, 7)
    assert torch.equal(_vmap(hard_rank)(x), hard_rank(x))
    with pytest.raises(ValueError, match="at least one dimension"):
        _vmap(hard_rank)(torch.randn(3))

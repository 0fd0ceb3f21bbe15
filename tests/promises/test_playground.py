"""What docs/playground.html computes and shows is what the library computes."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rank_relax import hard_rank, soft_rank, soft_sort, soft_topk, spearman_loss

PAGE = Path(__file__).resolve().parents[2] / "docs" / "playground.html"
METHODS = ("sigmoid", "gaussian", "laplace", "cauchy")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# What the page's functions return for each of the lists on standard input, of which the first item
# is the chosen one.
PROGRAM = """
const lists = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(lists.map(({ x, targets, strength, method, k }) => ({
  ranks: softRank(x, strength, method),
  hard: hardRank(x),
  sorted: softSort(x, strength, method),
  mask: softTopK(x, k, strength, method),
  ofRank: rankDerivative(x, x.map((_, i) => Number(i === 0)), strength, method),
  ofShare: shareDerivative(x, 0, k, strength, method),
  ...spearmanLoss(x, targets, strength, method),
}))));
"""


# Drags the first item to the middle of the picture, and moves it on by a key.
HAND = """<script>
const middle = picture.getBoundingClientRect().left + picture.clientWidth / 2;
const drag = (target, type) => target.dispatchEvent(
  new PointerEvent(type, { bubbles: true, cancelable: true, clientX: middle }));
drag(picture.querySelector('[data-item="0"]'), "pointerdown");
drag(picture, "pointermove");
drag(picture, "pointerup");
const key = new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true, cancelable: true });
picture.querySelector('[data-item="0"]').dispatchEvent(key);
</script>"""


def lists() -> list[dict[str, Any]]:
    found = []
    for method in METHODS:
        for strength in (0.1, 1.0, 3.3, 40.0, 900.0):
            for n in (2, 5, 17):
                x = (3 * torch.randn(n, dtype=torch.float64)).round(decimals=2)
                if n == 5:
                    x[1] = x[0]  # a tie
                found.append(
                    {
                        "x": x.tolist(),
                        "targets": torch.randint(4, (n,)).tolist(),
                        "strength": strength,
                        "method": method,
                        "k": n / 4,
                    }
                )
    return [*found, {**found[0], "x": [0.5, 0.5]}]


def gradient(result: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad(result, x)[0]


def test_the_pages_functions_are_the_librarys() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip(reason="node, which runs the page's script, is not installed")
    (script,) = re.findall(r'<script id="mathematics">(.*?)</script>', PAGE.read_text(), re.DOTALL)
    given = lists()
    run = subprocess.run(
        [node, "-e", script + PROGRAM],
        input=json.dumps(given), capture_output=True, text=True, check=True,
    )  # fmt: skip
    for arguments, found in zip(given, json.loads(run.stdout), strict=True):
        x = torch.tensor(arguments["x"], dtype=torch.float64, requires_grad=True)
        strength, method, k = arguments["strength"], arguments["method"], arguments["k"]
        targets = torch.tensor(arguments["targets"])
        ranks, mask = (
            soft_rank(x, strength, method=method),
            soft_topk(x, k, strength, method=method),
        )
        loss = spearman_loss(x, targets, strength, method=method)
        expected = {
            "ranks": ranks,
            "hard": hard_rank(x),
            "sorted": soft_sort(x, strength, method=method),
            "mask": mask,
            "ofRank": gradient(ranks[0], x),
            "ofShare": gradient(mask[0], x),
            "loss": loss,
            "gradient": gradient(loss, x),
        }
        for name, value in expected.items():
            actual = torch.tensor(found[name], dtype=torch.float64)
            # Roundings of sums of 17 terms, times a strength of 900 in the gradients; a point that
            # bisection finds is off by its last digit, times the strength in a share.
            torch.testing.assert_close(actual, value.detach(), rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_a_browser_shows_the_librarys_numbers_of_items_that_were_dragged(tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(reason="no Chromium, which would show the page, is installed")
    page = tmp_path / "playground.html"
    page.write_text(PAGE.read_text().replace("</body>", HAND + "</body>"))
    address = f"{page.as_uri()}#strength=4&method=gaussian&k=2.5"
    run = subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom", address],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    rows = re.findall(r"<tr><td>[A-Z]</td>(.*?)</tr>", run.stdout)
    cells = [[float(cell) for cell in re.findall(r"<td>(.*?)</td>", row)] for row in rows]
    x, hard, ranks, mask, slope, ordered = torch.tensor(cells, dtype=torch.float64).T
    assert -0.2 < x[0] < 0.2  # it began at 0.3, and the middle is a little below 0
    x.requires_grad_()
    loss = spearman_loss(x, torch.arange(len(x)), 4.0, method="gaussian")
    shown = {
        hard: hard_rank(x),
        ranks: soft_rank(x, 4.0, method="gaussian"),
        mask: soft_topk(x, 2.5, 4.0, method="gaussian"),
        slope: gradient(loss, x),
        ordered: soft_sort(x, 4.0, method="gaussian"),
    }
    assert len(x) > 2
    for actual, expected in shown.items():  # with four decimals
        torch.testing.assert_close(actual, expected.detach(), rtol=0, atol=0.51e-4)
    assert f"{loss.item():.4f}" in run.stdout


def test_the_page_asks_nothing_of_the_network() -> None:
    assert not re.findall(r"https?://|@import|src=|<link", PAGE.read_text())

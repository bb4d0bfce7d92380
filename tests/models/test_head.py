"""models/parts/head.py: the chunked cross-entropy against the plain one, and the memory it takes."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from models.parts.head import (
    LanguageHead,
    kernel_in_python,
    kernel_of_torch,
    mean_loss,
    summed_cross_entropy,
    supervised,
)
from tests.conftest import ROOT

torch.set_num_threads(1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_loss_and_gradients_are_those_of_the_plain_way(dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    head = LanguageHead(32, 1000).to(dtype)
    hidden = torch.randn(700, 32, dtype=dtype, requires_grad=True)
    targets = torch.randint(0, 1000, (700,))
    found = []
    for loss in (
        lambda: nn.functional.cross_entropy(head(hidden).float(), targets, reduction="sum"),
        lambda: head(hidden, targets),
    ):
        hidden.grad = head.weight.grad = None
        value = loss() / 700
        value.backward()
        assert hidden.grad is not None and head.weight.grad is not None
        found.append((value.detach(), hidden.grad, head.weight.grad))
    for plain, chunked in zip(*found, strict=True):
        assert (plain - chunked).norm() <= tolerance * plain.norm()


@pytest.mark.skipif(not hasattr(nn, "LinearCrossEntropyOptions"), reason="this torch has no kernel to compare with")
@pytest.mark.parametrize("trained", ["both", "hidden", "weight"])
def test_the_fallback_gives_loss_and_gradients_of_torchs_kernel(trained: str) -> None:
    torch.manual_seed(0)
    hidden, weight, targets = torch.randn(700, 32), torch.randn(1000, 32), torch.randint(0, 1000, (700,))
    hidden.requires_grad_(trained != "weight")
    weight.requires_grad_(trained != "hidden")
    found = []
    for kernel in (kernel_of_torch, kernel_in_python):
        hidden.grad = weight.grad = None
        loss = kernel(hidden, weight, targets, 256)
        (loss / 700).backward()
        found.append([loss.detach(), hidden.grad, weight.grad])
    for theirs, ours in zip(*found, strict=True):
        assert (theirs is None) == (ours is None)
        if theirs is not None:
            assert (theirs - ours).norm() <= 1e-6 * theirs.norm()


def test_the_fallback_takes_no_gradient_where_none_is_asked_for() -> None:
    hidden, weight = torch.randn(8, 4), torch.randn(16, 4, requires_grad=True)
    with torch.no_grad():
        loss = kernel_in_python(hidden, weight, torch.arange(8), 3)
    plain = nn.functional.cross_entropy(hidden @ weight.T, torch.arange(8), reduction="sum")
    assert not loss.requires_grad
    assert float(loss) == pytest.approx(float(plain.detach()), rel=1e-6)


def test_half_precision_does_not_round_the_sum_of_many_losses() -> None:
    torch.manual_seed(0)
    hidden, weight = torch.randn(1024, 64), torch.randn(8192, 64) * 0.1
    targets = torch.randint(0, 8192, (1024,))
    exact = nn.functional.cross_entropy(hidden.bfloat16().float() @ weight.bfloat16().float().T, targets)
    summed = summed_cross_entropy(hidden.bfloat16(), weight.bfloat16(), targets)
    assert summed.dtype == torch.float32
    assert abs(float(summed / 1024 - exact)) < 1e-3 * float(exact)


def test_only_what_predicts_a_token_to_learn_is_taught() -> None:
    labels = torch.tensor([[7, -100, 8, 9], [-100, -100, -100, 5]])
    taught, targets = supervised(labels)
    assert taught.tolist() == [[False, True, True, False], [False, False, True, False]]
    assert targets.tolist() == [8, 9, 5]


def test_a_first_label_alone_teaches_nothing() -> None:
    with pytest.raises(ValueError, match="none of the 3 labels"):
        supervised(torch.tensor([[7, -100, -100]]))


def test_the_mean_is_over_the_tokens_of_all_processes_where_they_are_told() -> None:
    assert [float(mean_loss(torch.tensor(6.0), 3, items)) for items in (None, 12, torch.tensor(12))] == [2.0, 0.5, 0.5]


MEASURE = """
import re, sys
from pathlib import Path
import torch
from models.parts.head import LanguageHead, kernel_in_python
torch.set_num_threads(1)
def memory(what):
    return int(re.search(what + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1)) * 1024
head = LanguageHead(64, 16000)
hidden = torch.randn(4096, 64, requires_grad=True)
targets = torch.randint(0, 16000, (4096,))
before = memory("VmRSS")
if sys.argv[1] == "chunked":
    loss = head(hidden, targets)
elif sys.argv[1] == "fallback":
    loss = kernel_in_python(hidden, head.weight, targets, 256)
else:
    loss = torch.nn.functional.cross_entropy(head(hidden), targets, reduction="sum")
loss.backward()
print(memory("VmHWM") - before)
"""


def peak(way: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, way], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    return int(done.stdout)


def test_the_logits_of_all_tokens_are_never_held() -> None:
    logits = 4096 * 16000 * 4
    assert peak("plain") > logits
    # Buffers of a chunk, what torch loads on its first product, and what the allocator keeps: a third to a half.
    assert peak("chunked") < 0.7 * logits
    assert peak("fallback") < 0.7 * logits

from __future__ import annotations

import torch
from safetensors.torch import load_file
from torch import nn

from vlmpost.training.nonfinite import describe_nonfinite, save_batch

NAN = float("nan")


def _model():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return model


def test_bad_weights_come_before_everything_else():
    model = _model()
    model[1].weight.data[0, 0] = float("inf")
    said = describe_nonfinite(model, {"advantages": torch.tensor([NAN])}, loss=NAN, grad_norm=NAN)
    assert said == "the loss is nan; the weights were already bad before it: first in 1.weight"


def test_the_first_bad_tensor_of_the_batch_is_named():
    inputs = {"prompt_ids": torch.tensor([1]), "advantages": torch.tensor([0.5, NAN]), "ref_per_token_logps": torch.tensor([[NAN]])}
    said = describe_nonfinite(_model(), inputs, loss=NAN, grad_norm=NAN)
    assert said == "the loss is nan; first bad tensor of the batch: advantages [2]"


def test_an_overflow_of_the_forward_pass_names_the_type():
    said = describe_nonfinite(_model(), {"x": torch.tensor([1.0])}, loss=float("inf"), grad_norm=NAN)
    assert "forward pass overflowed in torch.float32" in said


def test_a_bad_gradient_under_a_finite_loss_is_named():
    model = _model()
    model[0].bias.grad[1] = NAN
    said = describe_nonfinite(model, {}, loss=0.25, grad_norm=NAN)
    assert said == "the gradient norm is nan (the loss is 0.25); first bad gradient: 0.bias"


def test_the_batch_is_saved_without_pickle(tmp_path):
    path = save_batch(tmp_path / "logs", {"ids": torch.tensor([1, 2]), "names": ["a"], "part": torch.arange(4)[::2]}, step=7, rank=0)
    assert path.name == "batch_step_000007_rank_0.safetensors"
    assert {name: tensor.tolist() for name, tensor in load_file(path).items()} == {"ids": [1, 2], "part": [0, 2]}

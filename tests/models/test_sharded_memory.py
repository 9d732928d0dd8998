"""Memory of GPUs that share the state of training, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

from vlmpost.models.memory import Phase
from vlmpost.models.published import SHAPES
from vlmpost.models.sharded_memory import fits, sharded

SHAPE = replace(
    SHAPES["Qwen/Qwen2.5-VL-7B-Instruct"],
    num_parameters=1000,
    linear_sizes=((10, 10), (10, 10)),
    num_layers=2,
    vocab_size=20,
    hidden_size=10,
)
ALONE = {"weights": 2000, "reference": 2000, "gradients": 1600, "optimizer": 3200, "activations": 70, "logits": 5, "critic": 0}


def test_state_is_cut_and_activations_are_not() -> None:
    parts = sharded(Phase("update", ALONE), SHAPE, num_trainable=800, num_gpus=4).parts
    assert parts == {
        "weights": 900,  # (800 x 4 + 200 x 2) / 4
        "reference": 500,  # 1000 x 2 / 4
        "gradients": 800,  # 800 x 4 / 4
        "optimizer": 1600,  # 2 x 800 x 4 / 4
        "critic": 0,
        "gathered": 800,  # two units of max(100, 20 x 10) numbers of 2 bytes
        "activations": 70,
        "logits": 5,
    }


def test_sampling_has_no_gradients() -> None:
    parts = sharded(Phase("sampling", {**ALONE, "gradients": 0, "reference": 0}), SHAPE, num_trainable=800, num_gpus=4).parts
    assert (parts["gradients"], parts["reference"]) == (0, 0)


def test_a_fifth_is_left_for_what_is_not_counted() -> None:
    assert fits({"weights": 60}, gpu_bytes=72)
    assert not fits({"weights": 61}, gpu_bytes=72)


def test_published_sizes_are_the_sums_of_their_layers() -> None:
    assert len(SHAPES) == 2
    for name, shape in SHAPES.items():
        linear = sum(math.prod(size) for size in shape.linear_sizes)
        heads = 1 if "3B" in name else 2  # the 3B model's head is its table of embeddings
        rest = shape.num_parameters - shape.num_vision_parameters - shape.num_projector_parameters - linear
        rest -= heads * shape.vocab_size * shape.hidden_size
        # Norms: two a layer and one at the end; biases of queries, keys and values.
        biases = shape.hidden_size + shape.key_value_size
        assert rest == shape.num_layers * (2 * shape.hidden_size + biases) + shape.hidden_size, name

"""Faults between the sections of a recipe of `vlmpost combine`; those inside a stage's recipe are that recipe's own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from vlmpost.config.combine import READS, SPARSE_METHODS, STRATEGIES, CombineConfig
from vlmpost.config.guidance_presets import PRESETS
from vlmpost.config.schema import SourceConfig
from vlmpost.config.yaml_text import Fault, Key, shown

Data = Mapping[str, Any]  # Any: what a recipe holds, before it is checked

_SECTIONS = ("sft", "rl", "two_stage", "data_mix", "merge", "pass_rates", "select")


def combine_faults(data: Data) -> Iterator[Fault]:
    """What is wrong between sections.

    Args:
        data: The recipe, with what its stages share filled in.
    """
    strategy = data.get("strategy")
    if strategy not in STRATEGIES:
        return  # the schema says so
    for name in _SECTIONS:
        if data.get(name) is not None and name not in READS[strategy]:
            yield Fault((name,), f"strategy {strategy} does not use it; leave it out. It uses {', '.join(READS[strategy])}.")
    yield from _stages(strategy, data)
    yield from _held_out(data)
    if strategy in PRESETS:
        yield from _preset(strategy, data)
    yield from _pass_rates(data)
    if strategy == "two_stage":
        yield from _two_stage(data)
    if strategy == "merge":
        yield from _densities(data)
    yield from _evaluation(data)
    yield from _unseen(data)


def _stages(strategy: str, data: Data) -> Iterator[Fault]:
    """Which of the sections `sft`, `rl` and `select` a strategy cannot do without, and which it has no use for."""
    own = _section(data, strategy)
    needs = {"sft": strategy in ("two_stage", "data_mix", "merge"), "rl": True}
    for name, is_needed in needs.items():
        model = own.get(f"{name}_model")
        is_there = data.get(name) is not None
        if is_needed and not is_there and (model is None or strategy == "data_mix"):
            why = f"{strategy} takes the settings of its last round from it" if model is not None else f"{strategy} has a stage of it"
            yield Fault((name,), f"required, and missing: {why}.")
        elif is_there and model is not None and strategy != "data_mix":
            yield Fault((name,), f"{strategy}.{name}_model is trained already, so nothing is trained by it; leave one of them out.")
    if strategy == "merge" and data.get("select") is None:
        yield Fault(("select",), "required, and missing: the best merge is chosen on its questions.")


def _held_out(data: Data) -> Iterator[Fault]:
    for name in ("sft", "rl"):
        if _section(_section(data, name), "data").get("eval"):
            yield Fault((name, "data", "eval"), "is measured by `vlmpost sft` and `vlmpost rl`; here use the section evaluation.")


def _preset(strategy: str, data: Data) -> Iterator[Fault]:
    given = _section(_section(data, "rl"), "guidance").get("preset")
    if given != strategy and data.get("rl") is not None and isinstance(given, str):
        yield Fault(("rl", "guidance", "preset"), f"is {given}, and strategy is {strategy}; leave it out, or make them the same.")


def _pass_rates(data: Data) -> Iterator[Fault]:
    """Stored pass rates are measured where guidance reads them and has none."""
    config = _config(data)
    if config is None or config.rl is None:
        return
    guidance = config.rl.guidance
    reads = guidance is not None and guidance.pass_rate.source == "table" and guidance.gate.questions == "at_most"
    path = None if guidance is None else guidance.pass_rate.path
    if reads and path is None and config.pass_rates is None:
        message = (
            "required, and missing: guidance reads stored pass rates; add pass_rates: {num_samples: 8}, or rl.guidance.pass_rate.path."
        )
        yield Fault(("pass_rates",), message)
    if config.pass_rates is not None and path is not None:
        yield Fault(("pass_rates",), "rl.guidance.pass_rate.path names stored ones already; leave one of them out.")
    if config.pass_rates is not None and not reads:
        yield Fault(("pass_rates",), "nothing reads stored pass rates (rl.guidance.pass_rate.source: table does); leave it out.")


def _two_stage(data: Data) -> Iterator[Fault]:
    own = _section(data, "two_stage")
    start, trained = own.get("start", "final"), own.get("sft_model")
    if start == []:
        yield Fault(("two_stage", "start"), "names no step; give those of checkpoints, e.g. [100, 200].")
    if trained is not None and start != "final":
        yield Fault(("two_stage", "start"), "chooses among checkpoints, and two_stage.sft_model is one model; leave one of them out.")
    chooses = start in ("best", "all") or (isinstance(start, list) and len(start) > 1)
    if chooses and data.get("select") is None:
        yield Fault(("select",), f"required, and missing: two_stage.start {start} chooses on its questions.")
    if not chooses and data.get("select") is not None:
        yield Fault(("select",), f"has no effect with two_stage.start {start}, which leaves nothing to choose; leave it out.")
    if own.get("reference") == "base":
        yield from _reference(data)
    base, rl = _section(data, "model").get("path", "nano"), _section(_section(data, "rl"), "model").get("path", "nano")
    if isinstance(data.get("rl"), Mapping) and rl != base:
        yield Fault(("rl", "model", "path"), "RL starts from the SFT model; leave it out (a trained one: two_stage.sft_model).")


def _reference(data: Data) -> Iterator[Fault]:
    config = _config(data)
    if config is None or config.rl is None:
        return
    if not config.rl.algorithm.beta:
        yield Fault(("two_stage", "reference"), "has no effect while rl.algorithm.beta is 0; give beta, or leave it out.")
    if config.rl.model.use_peft:
        yield Fault(
            ("two_stage", "reference"), "adapters are compared with the model under them; leave it out, or train the whole weights."
        )


def _evaluation(data: Data) -> Iterator[Fault]:
    evaluation = _section(data, "evaluation")
    levels = evaluation.get("levels", {})
    if not evaluation or not isinstance(levels, Mapping):
        return
    if levels.get("seed", 0) == evaluation.get("seed", 1):
        message = "is evaluation.seed too: levels from the answers that are scored make every other model look better; give another."
        yield Fault(("evaluation", "levels", "seed"), message)


def _densities(data: Data) -> Iterator[Fault]:
    """Densities are of methods that keep a part of a task vector."""
    own = _section(data, "merge")
    methods = own.get("methods")
    if own.get("densities") is not None and isinstance(methods, list) and not set(map(str, methods)) & set(SPARSE_METHODS):
        yield Fault(("merge", "densities"), f"none of merge.methods has a density ({', '.join(SPARSE_METHODS)} do); leave it out.")


def _unseen(data: Data) -> Iterator[Fault]:
    """Questions that models are measured on are neither trained on nor chosen by; told by their source, before anything is read."""
    seen: dict[Key, Any] = {(name, "data", "train"): _section(_section(data, name), "data").get("train") for name in ("sft", "rl")}
    seen["data_mix", "data"] = _section(data, "data_mix").get("data")
    for name in ("select", "evaluation"):
        asked = _section(data, name).get("data")
        for index, source in enumerate(_sources(asked)):
            for key, sources in seen.items():
                if source is not None and source in _sources(sources):
                    where = shown((*key, _sources(sources).index(source)))
                    yield Fault((name, "data", index), f"holds questions of {where}, which no model here may know; give another split.")
        seen[name, "data"] = asked


def _sources(given: Any) -> list[object]:
    """What tells the questions of sound sources apart; None in the place of others."""
    return [_questions(source) for source in given] if isinstance(given, list) else []


def _questions(source: Any) -> object:
    try:
        known = SourceConfig.model_validate(source, strict=True)
    except ValidationError:
        return None
    drawn = None if known.task is None else (known.task, known.seed, known.shift, json.dumps(known.options, sort_keys=True))
    return drawn, known.path, known.split


def _section(data: Data, name: str) -> Data:
    """A section as it is given; empty where there is none or it is none."""
    found = data.get(name)
    return found if isinstance(found, Mapping) else {}


def _config(data: Data) -> CombineConfig | None:
    """The whole recipe where its schema holds; None where it does not, which is said elsewhere."""
    try:
        return CombineConfig.model_validate(data, strict=True)
    except ValidationError:
        return None

"""Faults that need more than one key to see; each looks only at parts that are right by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pydantic import BaseModel, ValidationError

from vlmpost.config.algorithm_checks import algorithm_faults, signal_faults
from vlmpost.config.combine_checks import combine_faults
from vlmpost.config.curate_checks import curate_faults
from vlmpost.config.describe import SCHEMAS, Kind
from vlmpost.config.guidance import GuidanceConfig
from vlmpost.config.guidance_checks import guidance_faults
from vlmpost.config.hints import trl_key
from vlmpost.config.schema import (
    AlgorithmConfig,
    DataConfig,
    ModelConfig,
    RewardTermConfig,
    RlTrainingConfig,
    SignalConfig,
    SourceConfig,
)
from vlmpost.config.yaml_text import Fault, Key

_TASK_SPLITS = ("test", "train", "validation")
_LORA_KEYS = ("lora_alpha", "lora_dropout", "lora_r", "lora_target_modules")
_VERIFIERS = ("verifier", "verifier_per_turn")
_STORED_ONLY = ("allow_outside_root", "columns", "image_root")


def cross_faults(kind: Kind, data: Mapping[str, object]) -> list[Fault]:
    """What is wrong between keys, whether or not other parts of the recipe are right."""
    if kind == "combine":
        return _combine(data)
    result: list[Fault] = []
    sections = {name: _alone(field.annotation, data.get(name, {})) for name, field in SCHEMAS[kind].model_fields.items()}
    for section in sections.values():
        if kind == "curate":
            result += curate_faults(section, given=lambda name: _keys(data, name))
        if isinstance(section, ModelConfig):
            result += _model(section, trains=kind != "curate")
        elif isinstance(section, AlgorithmConfig):
            result += algorithm_faults(section, given=_keys(data, "algorithm"))
        elif isinstance(section, SignalConfig):
            algorithm = sections["algorithm"]
            known = algorithm if isinstance(algorithm, AlgorithmConfig) else None
            result += signal_faults(section, given=_keys(data, "signal"), algorithm=known)
        elif isinstance(section, RlTrainingConfig):
            result += _training(section)
        elif isinstance(section, DataConfig) and kind == "rl" and section.max_length is not None:
            message = "is for SFT; here use data.max_prompt_length and generation.max_completion_length."
            result.append(Fault(("data", "max_length"), message))
    if kind == "rl":
        result += [*_guidance(data, sections), *_reference(data, sections)]
    sources = data.get("data", {})
    if isinstance(sources, Mapping):
        for part in ("train", "eval"):
            result += _sources(("data", part), sources.get(part, []))
    if kind == "curate":
        result += _sources(("data",), sources)
        against = data.get("decontaminate")
        result += _sources(("decontaminate", "against"), against.get("against")) if isinstance(against, Mapping) else []
    if "rewards" in data:
        result += _rewards(data["rewards"], plays=data.get("episode") is not None)
    trl = data.get("trl", {})
    if isinstance(trl, Mapping):
        result += [Fault(("trl", name), wrong) for name in trl if (wrong := trl_key(kind, name)) is not None]
    return result


def _combine(data: Mapping[str, object]) -> list[Fault]:
    """What is wrong inside the recipes of the stages, with the questions of other sections, and between sections."""
    result = list(combine_faults(data))
    stages: tuple[Kind, ...] = ("sft", "rl")
    for stage in stages:
        if isinstance(own := data.get(stage), Mapping):
            result += [replace(fault, key=(stage, *fault.key)) for fault in cross_faults(stage, own)]
    for name in ("select", "evaluation", "data_mix"):
        result += _sources((name, "data"), _given(data, name).get("data", []))
    return result


def _guidance(data: Mapping[str, object], sections: Mapping[str, BaseModel | None]) -> list[Fault]:
    guidance, algorithm, signal = _alone(GuidanceConfig, data.get("guidance")), sections["algorithm"], sections["signal"]
    if not isinstance(guidance, GuidanceConfig):
        return []
    return list(
        guidance_faults(
            guidance,
            algorithm=algorithm if isinstance(algorithm, AlgorithmConfig) else None,
            signal=signal if isinstance(signal, SignalConfig) else None,
            plays=data.get("episode") is not None,
        )
    )


def _reference(data: Mapping[str, object], sections: Mapping[str, BaseModel | None]) -> Iterator[Fault]:
    """A reference of its own is of use only to a KL term of whole weights."""
    algorithm, model = sections["algorithm"], sections["model"]
    if data.get("reference_model") is None:
        return
    if isinstance(algorithm, AlgorithmConfig) and not algorithm.beta:
        yield Fault(("reference_model",), "has no effect while algorithm.beta is 0; give beta, or leave it out.")
    if isinstance(model, ModelConfig) and model.use_peft:
        yield Fault(("reference_model",), "adapters are compared with the model under them; leave it out, or train the whole weights.")


def _given(data: Mapping[str, object], section: str) -> Mapping[str, object]:
    """A section as the recipe gives it; empty where there is none."""
    found = data.get(section)
    return found if isinstance(found, Mapping) else {}


def _alone(schema: object, value: object) -> BaseModel | None:
    """`value` as the schema class given, keys it does not know left out; None when it does not fit or the field is no section."""
    if not (isinstance(schema, type) and issubclass(schema, BaseModel) and isinstance(value, Mapping)):
        return None
    try:
        return schema.model_validate({key: item for key, item in value.items() if key in schema.model_fields}, strict=True)
    except ValidationError:
        return None


def _keys(data: Mapping[str, object], section: str) -> frozenset[str]:
    """The keys that a recipe gives in a section; a preset's are not among them."""
    given = data.get(section, {})
    return frozenset(map(str, given)) if isinstance(given, Mapping) else frozenset()


def _model(model: ModelConfig, *, trains: bool) -> Iterator[Fault]:
    if trains and model.load_in_4bit and not model.use_peft:
        yield Fault(("model", "load_in_4bit"), "4-bit weights cannot be trained themselves; add use_peft: true, or leave it out.")
    if model.load_in_4bit and model.device == "cpu":
        yield Fault(("model", "load_in_4bit"), "needs a GPU, and model.device is cpu; leave one of them out.")
    if not model.use_peft:
        for name in _LORA_KEYS:
            if name in model.model_fields_set:
                yield Fault(("model", name), "has no effect without use_peft: true; add that, or leave it out.")
    low, high = model.image_min_pixels, model.image_max_pixels
    if low is not None and high is not None and low > high:
        yield Fault(("model", "image_min_pixels"), f"is above image_max_pixels ({low} > {high}); swap or change them.")


def _training(training: RlTrainingConfig) -> Iterator[Fault]:
    prompts, parts = training.prompts_per_step, training.num_mini_batches
    if prompts % parts:
        choices = [str(number) for number in range(1, prompts + 1) if prompts % number == 0]
        message = f"prompts_per_step ({prompts}) is not a multiple of it; got {parts}, choose one of {', '.join(choices)}."
        yield Fault(("training", "num_mini_batches"), message)


def _sources(key: Key, sources: object) -> Iterator[Fault]:
    if not isinstance(sources, list):
        return
    for index, item in enumerate(sources):
        source = _alone(SourceConfig, item)
        if isinstance(source, SourceConfig):
            yield from _source((*key, index), source)


def _source(key: Key, source: SourceConfig) -> Iterator[Fault]:
    if source.task is None and source.path is None:
        yield Fault(key, "give `task` (a drawn task), `path` (stored data), or both (a task on stored pictures); got neither.")
        return
    if source.difficulties is not None:
        if source.task is None:
            yield Fault((*key, "difficulties"), "is for drawn tasks only; leave it out with `path`.")
        elif not source.difficulties or any(not 1 <= level <= 5 for level in source.difficulties):
            yield Fault((*key, "difficulties"), f"needs numbers from 1 to 5, got {source.difficulties}.")
    if source.task is None or source.path is not None:
        return
    if source.num_examples is None:
        yield Fault(key, "a drawn task has no end: add num_examples.")
    if source.split not in _TASK_SPLITS:
        yield Fault((*key, "split"), f"a drawn task has {', '.join(_TASK_SPLITS)}; got {source.split!r}.")
    for name in _STORED_ONLY:
        if name in source.model_fields_set:
            yield Fault((*key, name), "is for stored data only; leave it out with `task`.")


def _rewards(terms: object, *, plays: bool) -> Iterator[Fault]:
    if not isinstance(terms, list) or not terms:
        return
    parsed = [_alone(RewardTermConfig, term) for term in terms]
    for index, term in enumerate(parsed):
        if isinstance(term, RewardTermConfig) and term.name in _VERIFIERS and not plays:
            message = "needs a section `episode:`, which plays the tasks; add e.g. episode: {verify_iterations: 1}."
            yield Fault(("rewards", index, "name"), message)
    if all(isinstance(term, RewardTermConfig) and term.weight == 0 for term in parsed):
        yield Fault(("rewards",), "every weight is 0, so every rollout would be worth the same; give one a weight.")

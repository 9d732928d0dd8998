"""RL guided by stored traces on one page: `python scripts/naked_guided.py --way progressive`. Plain torch, no trainer, no recipe.

Four ways to learn from an expert's solution y* beside one's own answers, on the sums of drawn cards:

| way | a step |
|---|---|
| progressive | unsolved questions are answered from behind ever shorter beginnings of y*: GRPO, and 0.2 of a beginning's cross-entropy |
| interleaved | GRPO on the questions that an answer solves, then a step on y* of the others |
| joint | both in one step |
| luffy | y* is one more answer of each group, with p / (p + 0.1) in the place of its ratio |

`naked_grpo` has the rest: sampling, advantages, the policy loss. What `vlmpost.training` makes of these ways is held against this page.
Legend: B rows, C tokens of the padded rows.
"""

import argparse
import math
from dataclasses import dataclass

import naked_grpo
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vlmpost.data.conversation import to_completion, to_messages
from vlmpost.tasks import make

WAYS = ("progressive", "interleaved", "joint", "luffy")
HINT_WEIGHT = 0.2

# --- traces and hints ---


def trace_of(processor, example):
    """The tokens of an example's solution as the chat template has it behind the opening of a reply, the end of turn last."""
    asked = to_messages(example, instruction=None)
    before = processor.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
    whole = processor.apply_chat_template([*asked, *to_completion(example)], tokenize=False)
    ids = processor.tokenizer(whole[len(before) :], add_special_tokens=False).input_ids
    return tuple(ids[: ids.index(processor.tokenizer.eos_token_id) + 1])


def hint_length(num_tokens, step, num_steps, begin=0.05, until=0.7):
    """All of a trace for the first twentieth of the run, then less of it along a cosine, and none from 70 % on."""
    passed = min(1.0, max(0.0, (step / num_steps - begin) / (until - begin)))
    return math.floor((1 + math.cos(math.pi * passed)) / 2 * num_tokens + 0.5)


# --- rows ---


@dataclass
class Row:
    """What is read in one piece behind a question."""

    example: object
    place: int  # of the question in the batch
    tokens: tuple[int, ...]
    hint: int = 0  # how many of the first tokens are the trace's
    is_trace: bool = False
    advantage: float = 0.0
    weight: float = 1.0  # a hint that several answers go on from counts once

    @property
    def num_generated(self):
        return 0 if self.is_trace else len(self.tokens) - self.hint


def rewards_of(processor, example, answers):
    """1 for each right answer, [G, 1]."""
    return naked_grpo.score(processor, [example], [list(tokens) for tokens in answers], len(answers))


def answer_rows(place, example, answers, hint, worth):
    """The answers to one question."""
    return [
        Row(example, place, tuple(tokens), hint, advantage=float(value), weight=1 / len(answers))
        for tokens, value in zip(answers, worth, strict=True)
    ]


def rows_of_question(way, processor, place, example, answers, hint, scale):
    """(rows of the step on answers, rows of the step on traces) of a question."""
    trace = trace_of(processor, example)
    if not answers:  # the hint is the whole trace
        return [Row(example, place, trace, hint=len(trace))], []
    learnt = Row(example, place, trace, is_trace=True)
    if way == "luffy":
        rewards = rewards_of(processor, example, [*answers, trace])
        *worth, learnt.advantage = naked_grpo.advantages(rewards, torch.ones(1), len(rewards), scale=scale).tolist()
        return [*answer_rows(place, example, answers, 0, worth), learnt], []
    rewards = rewards_of(processor, example, answers)
    if way != "progressive" and not rewards.any():
        return ([], [learnt]) if way == "interleaved" else ([learnt], [])
    return answer_rows(place, example, answers, hint, naked_grpo.advantages(rewards, torch.ones(1), len(rewards), scale=scale)), []


# --- losses ---


def row_logps(model, processor, rows):
    """log pi of each token, [B, C]."""
    inputs = naked_grpo.ask(processor, [row.example for row in rows], 1)
    tokens_BC = pad_sequence([torch.tensor(row.tokens) for row in rows], batch_first=True)
    return naked_grpo.completion_logps(model, inputs, tokens_BC, masked(rows, lambda row: (0, len(row.tokens))))


def masked(rows, span):
    """Bool [B, C]: the tokens from the first to before the second place that `span` gives for a row."""
    spans = torch.tensor([span(row) for row in rows])
    places_C = torch.arange(max(len(row.tokens) for row in rows))
    return (places_C >= spans[:, :1]) & (places_C < spans[:, 1:])


def cross_entropy(logps_BC: Tensor, mask_BC: Tensor, weights_B: Tensor) -> Tensor:
    """The mean over each row's tokens, then over sequences: the weights of those that share one add up to 1."""
    of_row_B = -(logps_BC * mask_BC).sum(1) / mask_BC.sum(1).clamp(min=1)
    weights_B = weights_B * mask_BC.any(1)
    return (of_row_B * weights_B).sum() / weights_B.sum().clamp(min=1e-9)


def loss_of(way, rows, logps_BC, *, old_logps_BC=None, ref_logps_BC=None, beta=0.0, loss_type="dapo", max_completion_length=32):
    """The loss of one optimizer step."""
    old_logps_BC = logps_BC.detach() if old_logps_BC is None else old_logps_BC
    weights_B = torch.tensor([row.weight for row in rows])
    trace_BC = masked(rows, lambda row: (0, len(row.tokens) if row.is_trace else 0))
    if way == "luffy":
        advantages_B1 = torch.tensor([[row.advantage] for row in rows])
        probs_BC = logps_BC.exp()
        ratio_BC = torch.where(trace_BC, probs_BC / (probs_BC + 0.1), (logps_BC - old_logps_BC).exp())
        mask_BC = masked(rows, lambda row: (0, len(row.tokens)))
        return -(ratio_BC * advantages_B1 * mask_BC).sum() / (len(rows) * max_completion_length)
    loss = torch.zeros(())
    own = [place for place, row in enumerate(rows) if row.num_generated]
    if own:
        loss = loss + naked_grpo.policy_loss(
            loss_type,
            logps_BC[own],
            old_logps_BC[own],
            torch.tensor([rows[place].advantage for place in own]),
            masked(rows, lambda row: (row.hint, row.hint + row.num_generated))[own],
            None if ref_logps_BC is None else ref_logps_BC[own],
            beta,
            max_completion_length=max_completion_length,
        )
    hint_BC = masked(rows, lambda row: (0, row.hint))
    return loss + HINT_WEIGHT * cross_entropy(logps_BC, hint_BC, weights_B) + cross_entropy(logps_BC, trace_BC, weights_B)


def update(model, optimizer, loss):
    """One step of the optimizer; the norm of its gradient."""
    optimizer.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(norm)


# --- answers ---


def answer(model, processor, example, trace, hint, settings):
    """G answers from behind the first tokens of the trace, those included; none where the hint is all of it."""
    if hint == len(trace):
        return []
    inputs = naked_grpo.ask(processor, [example], settings.num_generations)
    begun = torch.tensor([trace[:hint]] * settings.num_generations, dtype=torch.int64)
    inputs = naked_grpo.continued(inputs, begun, torch.ones_like(begun, dtype=torch.bool))
    tokens_BC, mask_BC = naked_grpo.sample(model, inputs, settings.max_completion_length - hint)
    return [(*trace[:hint], *tokens[mask].tolist()) for tokens, mask in zip(tokens_BC, mask_BC, strict=True)]


def step(model, processor, optimizer, number, rates, settings):
    """Answers, and changes the weights once or twice; the losses."""
    on_answers, on_traces = [], []
    for place in range(settings.prompts_per_step):
        difficulty = (2, 5)[place % 2]
        example = make("card_sums", split="train", index=(number * settings.prompts_per_step + place) % 20, difficulty=difficulty)
        trace, rate = trace_of(processor, example), rates.setdefault(example.id, [0, 0])
        never = settings.way == "progressive" and rate[1] and not rate[0]
        hint = hint_length(len(trace), number, settings.steps) if never else 0
        answers = answer(model, processor, example, trace, hint, settings)
        if not hint:
            rates[example.id] = [rate[0] + int(rewards_of(processor, example, answers).sum()), rate[1] + len(answers)]
        parts = rows_of_question(settings.way, processor, place, example, answers, hint, "group")
        on_answers, on_traces = on_answers + parts[0], on_traces + parts[1]
    losses = []
    for rows in filter(None, (on_answers, on_traces)):
        loss = loss_of(settings.way, rows, row_logps(model, processor, rows), max_completion_length=settings.max_completion_length)
        update(model, optimizer, loss)
        losses.append(loss.item())
    return losses


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--way", default="progressive", choices=WAYS)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--prompts-per-step", type=int, default=4)
    parser.add_argument("--num-generations", type=int, default=8)
    parser.add_argument("--max-completion-length", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-5)
    settings = parser.parse_args()
    model, processor = naked_grpo.load()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=0.0)
    rates: dict[str, list[int]] = {}
    for number in range(settings.steps):
        losses = step(model, processor, optimizer, number, rates, settings)
        print(f"step {number + 1}  losses " + "  ".join(f"{loss:+.5f}" for loss in losses), flush=True)


if __name__ == "__main__":
    main()

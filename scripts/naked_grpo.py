"""GRPO on one page: `python scripts/naked_grpo.py --steps 5`. Plain torch, no trainer, no recipe; a minute on one core.

A step asks the shipped vision-language model for the sum of some drawn cards, several times each. Answers that beat the others to the
same question become more probable, those that fall behind less. What `vlmpost.training` does beyond this page is speed, several
turns, several processes, several rewards, and going on after an interruption; its numbers are held against those made here.

Legend: B completions, P prompts, G completions of each, C tokens of the padded completions, M rewards.
"""

import argparse
import copy

import torch
from torch import Tensor

from vlmpost.answers import judge
from vlmpost.config.schema import ModelConfig
from vlmpost.data.conversation import to_messages
from vlmpost.media.images import open_image
from vlmpost.models import loader
from vlmpost.models.families import vision_token_ids
from vlmpost.tasks import make

LOSS_TYPES = ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo")

# --- questions, answers, rewards ---


def load():
    """The shipped model, ready to train, and its processor."""
    torch.manual_seed(0)
    loaded = loader.load(ModelConfig(device="cpu"), purpose="rl")
    # A token that stands for an image must not be sampled: there would be no image for it.
    loaded.model.generation_config.suppress_tokens = list(vision_token_ids(loaded.family, loaded.processor.tokenizer))
    return loaded.model.train(), loaded.processor


def questions(number, prompts_per_step):
    """New ones for each step: two or three cards to be added up."""
    first = number * prompts_per_step
    return [make("card_sums", split="train", index=first + place, difficulty=2 + place % 2) for place in range(prompts_per_step)]


def ask(processor, examples, num_generations):
    """The model's inputs for each question, G times behind each other, padded on the left."""
    repeated = [example for example in examples for _ in range(num_generations)]
    chats = [to_messages(example, instruction=None) for example in repeated]
    texts = [processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False) for chat in chats]
    images = [[open_image(image) for image in example.images] for example in repeated]
    return processor(text=texts, images=images, padding=True, padding_side="left", return_tensors="pt")


@torch.no_grad()
def sample(model, inputs, max_new_tokens):
    """Completions [B, C] at temperature 1, and which of their tokens count: all up to the first end of turn."""
    tokens = model.generate(**inputs, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=max_new_tokens)
    completions_BC = tokens[:, inputs["input_ids"].shape[1] :]
    ended_BC = torch.isin(completions_BC, torch.tensor(model.generation_config.eos_token_id))
    mask_BC = ended_BC.cumsum(1) - ended_BC.long() == 0
    return completions_BC, mask_BC


def score(processor, examples, completions_BC, num_generations):
    """1 for a right answer, 0 for any other."""
    texts = processor.tokenizer.batch_decode(completions_BC, skip_special_tokens=True)
    repeated = [example for example in examples for _ in range(num_generations)]
    verdicts = [judge(text, answer=example.answer, answer_type="number") for text, example in zip(texts, repeated, strict=True)]
    return torch.tensor([[float(verdict.outcome == "correct")] for verdict in verdicts])


# --- what the model thinks of its tokens ---


def continued(inputs, completions_BC, mask_BC):
    """The inputs with the completions behind the prompts."""
    longer = {
        "input_ids": torch.cat([inputs["input_ids"], completions_BC], 1),
        "attention_mask": torch.cat([inputs["attention_mask"], mask_BC.long()], 1),
        "mm_token_type_ids": torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(completions_BC)], 1),
    }
    return {**inputs, **longer}


def token_logps(logits_BCV: Tensor, completions_BC: Tensor) -> Tensor:
    """log pi of each token, [B, C]."""
    return logits_BCV.log_softmax(-1).gather(-1, completions_BC[..., None])[..., 0]


def completion_logps(model, inputs, completions_BC, mask_BC):
    """log pi of each token of the completions, [B, C]; its distribution stands one place before it."""
    length = completions_BC.shape[1]
    return token_logps(model(**continued(inputs, completions_BC, mask_BC)).logits[:, -length - 1 : -1], completions_BC)


# --- the advantage: how much better than the others ---


def advantages(rewards_BM: Tensor, weights_M: Tensor, num_generations: int, estimator: str = "group", scale: str = "group") -> Tensor:
    """What the weighted rewards are worth against the others', [B]."""
    rewards_PGM = rewards_BM.view(-1, num_generations, rewards_BM.shape[1])
    totals_PG = (rewards_PGM * weights_M).sum(-1)
    centred_PG = totals_PG - totals_PG.mean(1, keepdim=True)
    if estimator == "rloo":
        worth = totals_PG - (totals_PG.sum(1, keepdim=True) - totals_PG) / (num_generations - 1)
    elif estimator == "reinforce_plus_plus_baseline":
        worth = (centred_PG - centred_PG.mean()) / centred_PG.std(correction=0).clamp(min=1e-4)
    elif estimator == "gdpo":
        normal_PGM = (rewards_PGM - rewards_PGM.mean(1, keepdim=True)) / (rewards_PGM.std(1, keepdim=True) + 1e-4)
        summed_PG = (normal_PGM * weights_M).sum(-1)
        worth = (summed_PG - summed_PG.mean()) / (summed_PG.std() + 1e-4)
    elif scale == "group":
        worth = centred_PG / (totals_PG.std(1, keepdim=True) + 1e-4)
    elif scale == "batch":
        worth = centred_PG / (totals_PG.std() + 1e-4)
    else:
        worth = centred_PG
    return worth.flatten()


# --- the loss ---


def ratios(logps_BC: Tensor, old_logps_BC: Tensor, mask_BC: Tensor, level: str) -> Tensor:
    """How much more probable a token is than when it was sampled; [B, C], or one number for the whole reply, [B, 1]."""
    log_ratios_BC = (logps_BC - old_logps_BC) * mask_BC
    if level == "token":
        return log_ratios_BC.exp()
    of_reply_B1 = log_ratios_BC.sum(1, keepdim=True)
    return of_reply_B1.exp() if level == "reply" else (of_reply_B1 / mask_BC.sum(1, keepdim=True)).exp()


def policy_loss(
    loss_type: str,
    logps_BC: Tensor,
    old_logps_BC: Tensor,
    advantages_B: Tensor,
    mask_BC: Tensor,
    ref_logps_BC: Tensor | None = None,
    beta: float = 0.0,
    level: str = "token",
    low: float = 0.2,
    high: float = 0.2,
    max_completion_length: int = 32,
) -> Tensor:
    """The loss of a step: a loss for each token, the distance to the reference added, and one number made of them."""
    ratio, worth = ratios(logps_BC, old_logps_BC, mask_BC, level), advantages_B[:, None]
    if loss_type == "cispo":  # the ratio is a weight, bounded and without a gradient: no token loses its own
        losses = -ratio.clamp(max=high).detach() * worth * logps_BC
    elif loss_type == "sapo":  # a soft clip, a little sharper for what is to become less probable
        sharpness = torch.where(worth > 0, 1.0, 1.05)
        losses = -(4 / sharpness) * torch.sigmoid(sharpness * (ratio - 1)) * worth
    elif loss_type == "vespo":  # a weight as well, of the whole reply: largest near 1, and small on both sides
        whole = ratios(logps_BC, old_logps_BC, mask_BC, "reply").detach()
        power, decay = torch.where(worth >= 0, 2.0, 3.0), torch.where(worth >= 0, 3.0, 2.0)
        losses = -(decay + power * whole.log() - decay * whole).exp() * worth * logps_BC
    else:  # nothing is gained by going further than the clip
        losses = -torch.minimum(ratio * worth, ratio.clamp(1 - low, 1 + high) * worth)
    if beta:
        losses = losses + beta * kl(logps_BC, ref_logps_BC) * ratio  # the ratio makes its gradient that of the true divergence
    losses_BC = losses * mask_BC
    if loss_type in ("grpo", "sapo"):
        return (losses_BC.sum(1) / mask_BC.sum(1)).mean()
    if loss_type == "luspo":
        return losses_BC.sum(1).mean()
    if loss_type == "dr_grpo":
        return losses_BC.sum() / (len(losses_BC) * max_completion_length)
    return losses_BC.sum() / mask_BC.sum()  # bnpo, dapo, cispo, vespo


def kl(logps_BC: Tensor, ref_logps_BC: Tensor) -> Tensor:
    """An estimate of the divergence from the reference that is never negative and right on average (k3)."""
    difference_BC = ref_logps_BC - logps_BC
    return difference_BC.exp() - difference_BC - 1


# --- one step, and many ---


def step(model, reference, processor, optimizer, examples, settings):
    """Samples, scores, and changes the weights once; the mean reward and the loss."""
    inputs = ask(processor, examples, settings.num_generations)
    completions_BC, mask_BC = sample(model, inputs, settings.max_completion_length)
    rewards_B1 = score(processor, examples, completions_BC, settings.num_generations)
    advantages_B = advantages(rewards_B1, torch.ones(1), settings.num_generations)
    with torch.no_grad():
        ref_logps_BC = completion_logps(reference, inputs, completions_BC, mask_BC)
    logps_BC = completion_logps(model, inputs, completions_BC, mask_BC)
    loss = policy_loss(
        settings.loss_type,
        logps_BC,
        logps_BC.detach(),  # one update per batch: the weights that sampled are these
        advantages_B,
        mask_BC,
        ref_logps_BC,
        settings.beta,
        max_completion_length=settings.max_completion_length,
    )
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return rewards_B1.mean().item(), loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--prompts-per-step", type=int, default=8)
    parser.add_argument("--num-generations", type=int, default=8)
    parser.add_argument("--max-completion-length", type=int, default=32)
    parser.add_argument("--loss-type", default="dapo", choices=LOSS_TYPES)
    parser.add_argument("--beta", type=float, default=0.005, help="weight of the distance to the first model")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    settings = parser.parse_args()
    model, processor = load()
    reference = copy.deepcopy(model).requires_grad_(False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=0.0)
    for number in range(settings.steps):
        reward, loss = step(model, reference, processor, optimizer, questions(number, settings.prompts_per_step), settings)
        print(f"step {number + 1}  reward {reward:.3f}  loss {loss:+.5f}", flush=True)


if __name__ == "__main__":
    main()

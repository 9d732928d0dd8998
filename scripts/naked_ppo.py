"""PPO on one page: `python scripts/naked_ppo.py --steps 5`. Plain torch, no trainer, no recipe; a minute on one core.

Asking, sampling and scoring are those of `naked_grpo.py`. The difference: a critic, one linear layer on the policy's own hidden states,
says before each token what reward it expects. A token is good if things look better after it than before, so that each has an
advantage of its own, and one completion to a question is enough. A batch is learned from several times, with the step bounded by a clip.

Legend: B completions, C tokens of the padded completions, H width of the hidden states. A mask marks the sampled tokens, which stand
at the beginning of each row.
"""

import argparse
import copy

import torch
from naked_grpo import ask, continued, load, questions, sample, score, token_logps
from torch import Tensor, nn

# --- the critic ---


class ActorCritic(nn.Module):
    """The policy, and a value head on its hidden states. A head of zeros expects nothing, and learns from there."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.value_head = nn.Linear(model.config.get_text_config().hidden_size, 1)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    def forward(self, inputs, completions_BC, mask_BC):
        """log pi of each token, and the reward expected before it; [B, C] both."""
        length = completions_BC.shape[1]
        hidden_BTH = self.model.model(**continued(inputs, completions_BC, mask_BC)).last_hidden_state
        hidden_BCH = hidden_BTH[:, -length - 1 : -1]  # one place before each token: what the model knew when it drew it
        return token_logps(self.model.lm_head(hidden_BCH), completions_BC), self.value_head(hidden_BCH)[..., 0] * mask_BC


# --- rewards, advantages, returns ---


def token_rewards(scores_B: Tensor, old_logps_BC: Tensor, ref_logps_BC: Tensor, mask_BC: Tensor, beta: float) -> Tensor:
    """What each token earns: the score on the last one, less beta times how much likelier it is than under the reference."""
    last_BC = mask_BC & (mask_BC.flip(1).cumsum(1).flip(1) == 1)
    return (last_BC * scores_B[:, None] - beta * (old_logps_BC - ref_logps_BC)) * mask_BC


def gae(rewards_BC: Tensor, values_BC: Tensor, mask_BC: Tensor, gamma: float, lam: float) -> Tensor:
    """Generalized advantages, [B, C]: the surprises from here to the end, later ones counting less.

    surprise_t = reward_t + gamma value_(t+1) - value_t;  advantage_t = surprise_t + gamma lam advantage_(t+1); 0 after the end.
    """
    advantages_BC = torch.zeros_like(values_BC)
    value_B = advantage_B = torch.zeros_like(values_BC[:, 0])
    for place in reversed(range(values_BC.shape[1])):
        sampled_B = mask_BC[:, place]
        surprise_B = rewards_BC[:, place] + gamma * value_B - values_BC[:, place]
        advantage_B = (surprise_B + gamma * lam * advantage_B) * sampled_B
        value_B = values_BC[:, place] * sampled_B
        advantages_BC[:, place] = advantage_B
    return advantages_BC


def whitened(advantages_BC: Tensor, mask_BC: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 over the sampled tokens."""
    sampled = advantages_BC[mask_BC]
    return (advantages_BC - sampled.mean()) / sampled.var(correction=0).clamp(min=1e-8).sqrt() * mask_BC


# --- losses ---


def mean(numbers_BC: Tensor, mask_BC: Tensor) -> Tensor:
    """The mean over the sampled tokens."""
    return (numbers_BC * mask_BC).sum() / mask_BC.sum()


def policy_loss(logps_BC: Tensor, old_logps_BC: Tensor, advantages_BC: Tensor, mask_BC: Tensor, epsilon: float) -> Tensor:
    """The clipped loss: no gradient once a token is further than epsilon from where it was sampled, in the direction it is pulled."""
    ratio_BC = (logps_BC - old_logps_BC).exp()
    return mean(-torch.minimum(ratio_BC * advantages_BC, ratio_BC.clamp(1 - epsilon, 1 + epsilon) * advantages_BC), mask_BC)


def value_loss(values_BC: Tensor, old_values_BC: Tensor, returns_BC: Tensor, mask_BC: Tensor, cliprange: float) -> Tensor:
    """Half the squared error, or that of the value held within `cliprange` of the old one, whichever is worse."""
    held_BC = old_values_BC + (values_BC - old_values_BC).clamp(-cliprange, cliprange)
    return mean(torch.maximum((values_BC - returns_BC) ** 2, (held_BC - returns_BC) ** 2) / 2, mask_BC)


# --- one step, and many ---


def rows_of(inputs, rows):
    """The inputs of some of the completions; an image's patches lie behind those of the images before it."""
    num_patches = inputs["image_grid_thw"].prod(1).tolist()
    pixels = inputs["pixel_values"].split(num_patches)
    chosen = {name: value[rows] for name, value in inputs.items() if name != "pixel_values"}
    return {**chosen, "pixel_values": torch.cat([pixels[row] for row in rows.tolist()])}


def learn(actor_critic, optimizer, inputs, completions_BC, mask_BC, before, settings):
    """One update from some completions: policy loss and value loss together."""
    logps_BC, values_BC = actor_critic(inputs, completions_BC, mask_BC)
    loss = policy_loss(logps_BC, before["logps"], before["advantages"], mask_BC, settings.epsilon)
    critic_loss = value_loss(values_BC, before["values"], before["returns"], mask_BC, settings.cliprange_value)
    optimizer.zero_grad()
    (loss + settings.vf_coef * critic_loss).backward()
    nn.utils.clip_grad_norm_(actor_critic.parameters(), 1.0)
    optimizer.step()
    return loss.item(), critic_loss.item()


def step(actor_critic, reference, processor, optimizer, examples, settings):
    """Samples, scores, and learns from the batch several times; the mean reward and the losses of the last update."""
    inputs = ask(processor, examples, settings.num_generations)
    completions_BC, mask_BC = sample(actor_critic.model, inputs, settings.max_completion_length)
    scores_B = score(processor, examples, completions_BC, settings.num_generations)[:, 0]
    with torch.no_grad():
        logps_BC, values_BC = actor_critic(inputs, completions_BC, mask_BC)
        ref_logps_BC, _ = reference(inputs, completions_BC, mask_BC)
    rewards_BC = token_rewards(scores_B, logps_BC, ref_logps_BC, mask_BC, settings.beta)
    advantages_BC = gae(rewards_BC, values_BC, mask_BC, settings.gamma, settings.lam)
    before = {
        "logps": logps_BC,
        "values": values_BC,
        "returns": advantages_BC + values_BC,
        "advantages": whitened(advantages_BC, mask_BC),
    }
    for _ in range(settings.num_iterations):
        for rows in torch.randperm(len(scores_B)).chunk(settings.num_mini_batches):
            part = {name: value[rows] for name, value in before.items()}
            losses = learn(actor_critic, optimizer, rows_of(inputs, rows), completions_BC[rows], mask_BC[rows], part, settings)
    return scores_B.mean().item(), *losses


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--prompts-per-step", type=int, default=64)
    parser.add_argument("--num-generations", type=int, default=1)
    parser.add_argument("--max-completion-length", type=int, default=32)
    parser.add_argument("--num-iterations", type=int, default=2, help="passes over each batch")
    parser.add_argument("--num-mini-batches", type=int, default=2)
    parser.add_argument("--epsilon", type=float, default=0.2)
    parser.add_argument("--cliprange-value", type=float, default=0.2)
    parser.add_argument("--vf-coef", type=float, default=0.1)
    parser.add_argument("--gamma", type=float, default=1.0)
    parser.add_argument("--lam", type=float, default=0.95)
    parser.add_argument("--beta", type=float, default=0.005, help="weight of the distance to the first model, in the reward")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    settings = parser.parse_args()
    model, processor = load()
    actor_critic = ActorCritic(model)
    reference = copy.deepcopy(actor_critic).requires_grad_(False)
    trained = [parameter for parameter in actor_critic.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=0.0)
    for number in range(settings.steps):
        examples = questions(number, settings.prompts_per_step)
        reward, loss, critic_loss = step(actor_critic, reference, processor, optimizer, examples, settings)
        print(f"step {number + 1}  reward {reward:.3f}  policy loss {loss:+.5f}  value loss {critic_loss:.5f}", flush=True)


if __name__ == "__main__":
    main()

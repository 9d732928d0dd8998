"""Signal that is not wasted: which prompts are asked, which groups are sampled again, which are used twice, and what that costs.

A group is flat when its completions all earn the same (`baselines.flat_groups`); it tells a comparison nothing. Everything here is
pure and knows no trainer and no tensor. The same calls with the same arguments on every process keep the state equal on every process,
so the arguments are gathered over processes before they are told. The state is JSON and stands in the checkpoint: a resumed run goes
on as if it had not been interrupted.

One batch of rollouts, on every process alike:

1. `state.source.take(n, exclude=...)` gives the dataset indices of a round of prompts (with pools also those of the first round);
   process r of R rolls out the r-th of R equal parts of them;
2. after each round the flags of all groups are gathered and `Refill.num_more` says how many prompts the next round has, 0: none;
3. `Refill.choose` says which groups make up the batch, and `state.replay.choose` gives used groups for the places of flat ones;
4. `state.note` tells source and pools what every sampled group showed, and `state.keep` gives the useful ones to the replay.

Source: dynamic sampling is DAPO's, arXiv 2503.14476, section 3.2; replay of useful groups in the places of flat ones is VL-Rethinker's
selective sample replay, arXiv 2504.08837, and TRL's GRPO with a replay buffer (huggingface/trl pull request 4060).
"""

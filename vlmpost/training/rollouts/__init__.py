"""Rollouts: prompts in, sampled, played and scored completions out; `batch_maker` chooses among them, `vllm` samples elsewhere."""

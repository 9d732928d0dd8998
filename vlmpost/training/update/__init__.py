"""The update: from completions with advantages to one optimizer step. Knows tensors and models, and no trainer.

In the order of a step: `experience` holds the completions, `mini_batch` and `micro_batches` cut them, `scorer` runs a forward pass over a
part, `step_loss` makes the loss of it.
"""

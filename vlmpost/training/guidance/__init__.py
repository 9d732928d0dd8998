"""RL guided by stored traces: the six knobs of `config.guidance`, each a part that can be tested alone.

| file | holds |
|---|---|
| `traces.py` | what an expert wrote for each question, as the tokens that SFT would train on |
| `pass_rates.py` | how often the policy answers each question right, without a hint |
| `gate.py` | which questions are guided |
| `hints.py`, `search.py` | how much of a trace rollouts begin with: by a law, or by trying |
| `grouping.py` | which rollouts an advantage compares |
| `drawing.py`, `buffer.py` | how the losses are laid out over optimizer steps |
| `stream.py` | traces that come whatever the batch asks |
| `questions.py`, `asking.py`, `lines.py`, `maker.py` | a guided batch: its questions, their rollouts, its rows, the making |

All above the last line know no trainer and no model, and all but `grouping.py` no tensor. What is remembered from batch to batch has a
state of JSON values for the checkpoint, and what is drawn is drawn from seeds alone, so that a resumed run goes on as if it had not been
interrupted and every process draws the same.

Source: the common core of the published ways to combine SFT and RL; `config.guidance_presets` names each.
"""

"""Which questions become training rows, and with whose answers: rejection sampling, distillation, action prompting.

`curate` is the door. A teacher (`local`, `endpoint`, `actions`) answers, the one judge of vlmpost judges, `filters` and `keep` choose,
`ledger` accounts for every question and every answer.
"""

from __future__ import annotations

from vlmpost.curation.run import CurationResult, curate

__all__ = ["CurationResult", "curate"]

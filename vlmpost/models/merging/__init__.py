"""Merging: formulas on tensors (`methods`), tensors in folders (`stored`, `lora`), shards written in bounded memory (`shards`), what
travels along (`companions`). The door is `vlmpost.models.merge.merge`.
"""

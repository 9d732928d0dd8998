"""`drive.py` under FSDP2 on CPU processes: accelerate shards on GPUs only, so its state is told that these processes do too.

To see that tests can fail, `--unpatched` leaves out vlmpost's patch of accelerate, and `--unguarded` its refusal of mixed rows.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path


def shard_on_cpu() -> None:
    """Makes accelerate take gloo processes for FSDP ones."""
    from accelerate import state
    from accelerate.utils import DistributedType

    original = state.AcceleratorState.__init__

    def patched(self, *args, fsdp_plugin=None, **kwargs):
        original(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        if fsdp_plugin is not None:
            self.fsdp_plugin = fsdp_plugin
        if vars(self).get("fsdp_plugin") and self.distributed_type == DistributedType.MULTI_CPU:  # also where the state is only looked up
            self.distributed_type = DistributedType.FSDP

    state.AcceleratorState.__init__ = patched


def main(*arguments: str) -> int:
    """As `drive.main`."""
    os.environ |= {
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_VERSION": "2",
        "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
        "FSDP_RESHARD_AFTER_FORWARD": "true",
        "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
    }
    shard_on_cpu()
    from vlmpost.training import seams

    if "--unpatched" in arguments:
        seams.patch_fsdp2_final_norm = lambda: None
    if "--unguarded" in arguments:
        seams.guard_sharding = lambda model, **facts: seams.patch_fsdp2_final_norm()
    spec = importlib.util.spec_from_file_location("drive", Path(__file__).with_name("drive.py"))
    drive = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drive)
    return drive.main(*arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

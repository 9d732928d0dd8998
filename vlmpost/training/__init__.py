"""What changes weights by gradient: SFT and GRPO on TRL's trainers, exact resume, the doctor.

`executor.run_sft` and `executor.run_rl` are the doors. Rewards, sampling, data and models come from their own rooms.
"""

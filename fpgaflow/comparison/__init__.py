"""Targets side by side: the same model on FPGAs, GPUs, TPUs and processors, every figure with where it comes from."""

"""Compiles fast, and keeps compiled programs from one run of the tests to the next."""

import gc
import os
from pathlib import Path

# Read by jax when it is imported: here, in notebooks and in commands that tests start.
# The folder is the user's own, since loading a compiled program runs code.
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE / "metarl_jax" / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
# Most programs run once, and XLA compiles faster with its older code for the CPU, in
# one part and without optimisations: an empty XLA_FLAGS tests what users run.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters"
    " --xla_backend_optimization_level=0"
    " --xla_cpu_parallel_codegen_split_count=1",
)
# Traces are many objects that stay, and to look through them time and again is slow.
gc.set_threshold(200_000, 50, 100)

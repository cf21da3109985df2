"""Meta-reinforcement learning in JAX: the library, which knows no environment by name.

`types` defines what everything is written in; `docs/design.md` says how it fits
together.
"""

"""Figures of the literature that results are compared with, and their sources."""

import json
from pathlib import Path


def finn2017(family: str) -> dict[str, list[float]]:
    """Mean returns over 40 test tasks by adaptation step, by method.

    Args:
      family: e.g. "point"; the task families of Finn et al. (2017), section 5.3.

    Returns:
      For "Finn et al. (2017), MAML" and their "oracle" a list of returns each.
    """
    table = json.loads((Path(__file__).parent / "finn2017.json").read_text())
    returns = table["mean_return_by_step"][family]
    return {f"Finn et al. (2017), {name}": returns[name] for name in ("maml", "oracle")}

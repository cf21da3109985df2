import errno
import json
import os

import jax.numpy as jnp
import numpy as np
import pytest

from metarl_jax import run_files
from metarl_jax.run_files import write_json


def test_json_holds_arrays_and_no_nan(tmp_path):
    path = tmp_path / "summary.json"
    write_json(
        path,
        {
            "return_by_step": np.array([-40.5, np.nan]),
            "steps": jnp.arange(2),
            "mean": np.float32(0.5),
            "pair": (1, float("inf")),
            "flag": np.bool_(True),
            "none": None,
        },
    )
    assert json.loads(path.read_text()) == {
        "return_by_step": [-40.5, None],
        "steps": [0, 1],
        "mean": 0.5,
        "pair": [1, None],
        "flag": True,
        "none": None,
    }


def test_json_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    write_json(path, {"a": 1})

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(run_files.os, "replace", fail)
    with pytest.raises(OSError, match="config.json: No space left") as error:
        write_json(path, {"a": 2})
    assert error.value.errno == errno.ENOSPC
    assert json.loads(path.read_text()) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


def test_what_is_no_json_leaves_the_old_file(tmp_path):
    path = tmp_path / "config.json"
    write_json(path, [1])
    with pytest.raises(TypeError):
        write_json(path, {"f": object()})
    assert json.loads(path.read_text()) == [1]

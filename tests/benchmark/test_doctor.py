"""What `autophasenn doctor` says is so."""

import importlib.util
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from autophasenn.benchmark.doctor import EXTRAS, examine


def test_it_says_what_is_there() -> None:
    found = {each.name: each for each in examine()}
    assert torch.__version__ in found["torch"].value
    assert found["Python"].value.startswith(sys.version.split()[0])
    for name, (_, modules) in EXTRAS.items():
        is_there = all(importlib.util.find_spec(module) for module in modules)
        assert found[f"extra {name}"].value.startswith("installed" if is_there else "not installed")
        assert bool(found[f"extra {name}"].advice) != is_there
    assert float(found["transform pair, 64 x 64 x 64"].value.split()[0]) > 0
    assert 0 < float(found["network, one pattern"].value.split()[0]) < 600


def test_every_extra_that_users_have_is_looked_for() -> None:
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert set(EXTRAS) >= set(declared) - {"docs", "dev"}


def test_what_is_missing_comes_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "trame" else find(name))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = {each.name: each for each in examine()}
    assert found["extra viewer"].value.startswith("not installed")
    assert "pip install" in found["extra viewer"].advice
    assert "[viewer]" in found["extra viewer"].advice
    assert found["GPU"].advice

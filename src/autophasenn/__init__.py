"""From a 3-D Bragg coherent diffraction pattern to the crystal and the strain inside it.

>>> import autophasenn as ap
>>> pattern = ap.load("scan.npz")  # doctest: +SKIP
>>> result = ap.reconstruct(pattern)  # doctest: +SKIP
>>> result.plot().savefig("overview.png")  # doctest: +SKIP
>>> result.save("result")  # doctest: +SKIP

What each name does stands with it; nothing heavy is imported before it is used.
"""

import sys
from importlib import import_module
from typing import Any

from autophasenn.waiting import load_average, tell_threads

if "torch" not in sys.modules:  # else it is too late
    tell_threads(load_average())
__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(
        ("Pattern", "analyse", "evaluate", "load", "reconstruct", "simulate", "strain_tensor", "view"), "door"
    ),
    **dict.fromkeys(("reconstruct_many", "series"), "campaign.many"),
    **dict.fromkeys(("AutoPhaseNNError", "GeometryError", "InputError", "OutputError", "PlanError"), "errors"),
    "AnalysisOptions": "analysis.options",
    "CrystalImage": "image",
    "Instrument": "pipeline.instrument",
    "Network": "door",
    "Plan": "pipeline.plan",
    "Preprocessing": "preprocessing.options",
    "Report": "report.numbers",
    "Result": "pipeline.result",
    "Series": "campaign.series",
    "SecondDirection": "analysis.frames",
    "load_plan": "pipeline.plan",
}
"""Name -> module that has it. The stub ``__init__.pyi`` tells editors and type checkers the same."""
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""What `import autophasenn as ap` offers: patterns in, results out."""

from autophasenn.door.answers import analyse, strain_tensor
from autophasenn.door.crystals import evaluate, simulate
from autophasenn.door.imaging import load, reconstruct, view
from autophasenn.network.predict import Predictor as Network
from autophasenn.pipeline.arrays import Pattern

__all__ = ["Network", "Pattern", "analyse", "evaluate", "load", "reconstruct", "simulate", "strain_tensor", "view"]

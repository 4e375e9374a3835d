from autophasenn.analysis.frames import SecondDirection as SecondDirection
from autophasenn.analysis.options import AnalysisOptions as AnalysisOptions
from autophasenn.campaign.many import reconstruct_many as reconstruct_many
from autophasenn.campaign.many import series as series
from autophasenn.campaign.series import Series as Series
from autophasenn.door import Network as Network
from autophasenn.door import Pattern as Pattern
from autophasenn.door import analyse as analyse
from autophasenn.door import evaluate as evaluate
from autophasenn.door import load as load
from autophasenn.door import reconstruct as reconstruct
from autophasenn.door import simulate as simulate
from autophasenn.door import strain_tensor as strain_tensor
from autophasenn.door import view as view
from autophasenn.errors import AutoPhaseNNError as AutoPhaseNNError
from autophasenn.errors import GeometryError as GeometryError
from autophasenn.errors import InputError as InputError
from autophasenn.errors import OutputError as OutputError
from autophasenn.errors import PlanError as PlanError
from autophasenn.image import CrystalImage as CrystalImage
from autophasenn.pipeline.instrument import Instrument as Instrument
from autophasenn.pipeline.plan import Plan as Plan
from autophasenn.pipeline.plan import load_plan as load_plan
from autophasenn.pipeline.result import Result as Result
from autophasenn.preprocessing.options import Preprocessing as Preprocessing
from autophasenn.report.numbers import Report as Report

__version__: str
__all__: list[str]

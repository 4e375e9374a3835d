"""One retrieval by cohere_core, timed: a script for the environment that has cohere_core, which is not this one.

    python -I _cohere_worker.py MODULUS.npy torch|np ITERATIONS THREADS

The last line on standard output is JSON: seconds of the iterations alone, the last error, peak memory.
"""

import contextlib
import io
import json
import sys
import time
from typing import Any


def parameters(iterations: int) -> dict[str, Any]:
    """Settings of cohere: HIO 80 and ER 20 in turn, shrink-wrap every 20 iterations."""
    repeats, rest = divmod(iterations, 100)
    blocks = [f"{repeats}*(80*HIO+20*ER)"] if repeats else []
    blocks += [f"{rest}*HIO"] if rest else []
    return {
        "algorithm_sequence": "+".join(blocks),
        "hio_beta": 0.9,
        "initial_support_area": (0.5, 0.5, 0.5),
        "shrink_wrap_trigger": [20, 20],
        "shrink_wrap_type": "GAUSS",
        "shrink_wrap_threshold": 0.2,
        "shrink_wrap_gauss_sigma": 1.0,
    }


def timed(modulus: str, library: str, iterations: int) -> dict[str, float]:
    """Seconds of `iterations`, without reading the data and making the start, and the last error.

    Raises
    ------
    RuntimeError
        If cohere says that it failed.
    """
    from cohere_core.controller.phasing import create_rec  # type: ignore[import-not-found]

    with contextlib.redirect_stdout(io.StringIO()) as said:
        reconstruction = create_rec(parameters(iterations), modulus, library, -1, debug=True)
        if reconstruction is None:
            raise RuntimeError(said.getvalue())
        began = time.perf_counter()
        failed = reconstruction.iterate()
        seconds = time.perf_counter() - began
        if failed:
            raise RuntimeError(said.getvalue())
    return {"seconds": seconds, "error": float(reconstruction.errs[-1])}


def main() -> None:
    """Warm up, run, print."""
    modulus, library, iterations, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if library == "torch":
        import torch

        torch.set_num_threads(threads)
    timed(modulus, library, min(20, iterations))
    result = timed(modulus, library, iterations)
    print(json.dumps(result | {"peak_bytes": peak_memory()}))


def peak_memory() -> int | None:
    """Bytes; None where the system does not tell. As `autophasenn.machine`, which that environment does not have."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()

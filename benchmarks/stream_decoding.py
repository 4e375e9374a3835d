"""How long a frame of 4 million pixels takes to decode, by codec; beside numbers in docs/guide/live.md.

python benchmarks/stream_decoding.py
"""

import time

import numpy as np

from autophasenn.live.codecs import CODECS, decode
from autophasenn.live.sending import encode


def main() -> None:
    """Print milliseconds, MB/s and the factor by which it was compressed; the best of ten."""
    random = np.random.default_rng(1)
    frame = random.poisson(0.3, (2167, 2070)).astype(np.uint32)  # an Eiger of 4 million pixels, background and a peak
    frame[512:550] = 2**32 - 1
    frame[900:1100, 900:1100] += random.poisson(500, (200, 200)).astype(np.uint32)
    for codec in CODECS:
        data, best = encode(frame, codec), float("inf")
        for _ in range(10):
            began = time.perf_counter()
            decoded = decode(data, codec, "uint32", frame.shape)
            best = min(best, time.perf_counter() - began)
        assert np.array_equal(decoded, frame)
        size = frame.nbytes
        print(
            f"{codec or 'raw':8} {1e3 * best:6.1f} ms {size / best / 1e6:6.0f} MB/s, {size / len(data):4.1f} times smaller"
        )


if __name__ == "__main__":
    main()

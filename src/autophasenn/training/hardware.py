"""What computes, in words."""

from __future__ import annotations

import platform
from pathlib import Path

import psutil
import torch


def hardware(device: torch.device) -> str:
    """Name of a GPU; or name, cores and threads in use of the CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count()
    return f"{processor()}, {cores} cores, {torch.get_num_threads()} threads"


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

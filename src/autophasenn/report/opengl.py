"""Whether pictures can be rendered off screen here, asked before VTK is: without OpenGL VTK ends the process."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from autophasenn.errors import AutoPhaseNNError

_WINDOW = "VTK_DEFAULT_OPENGL_WINDOW"
_EGL_PLATFORM_DEVICE = 0x313F


class NoOpenGLError(AutoPhaseNNError):
    """No OpenGL can be had on this machine, so no 3-D picture can be rendered."""


@contextmanager
def off_screen() -> Iterator[None]:
    """Let VTK render without a display inside the block.

    Raises
    ------
    NoOpenGLError
        If the machine has neither an EGL driver nor OSMesa.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    if _has_egl_device():
        window = "vtkEGLRenderWindow"
    elif _has_library("libOSMesa.so.8"):
        window = "vtkOSOpenGLRenderWindow"
    else:
        raise NoOpenGLError(
            "No OpenGL driver for off-screen rendering was found (neither an EGL device nor OSMesa), so the 3-D figure "
            "cannot be drawn. Install one, for example with `apt install libegl1 libgl1-mesa-dri`."
        )
    before = os.environ.get(_WINDOW)
    os.environ[_WINDOW] = window
    try:
        yield
    finally:
        if before is None:
            del os.environ[_WINDOW]
        else:
            os.environ[_WINDOW] = before


def _has_library(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _has_egl_device() -> bool:
    """Does libEGL offer a device that can be initialised? The library alone may have no driver behind it."""
    try:
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError:
        return False
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglGetProcAddress.argtypes = [ctypes.c_char_p]
    egl.eglInitialize.argtypes = [ctypes.c_void_p] * 3
    query_address = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    display_address = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query_address or not display_address:
        return False
    count_pointer = ctypes.POINTER(ctypes.c_int)
    query = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, count_pointer)(query_address)
    display_of = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)(display_address)
    count = ctypes.c_int()
    if not query(0, None, ctypes.byref(count)) or count.value == 0:
        return False
    devices = (ctypes.c_void_p * count.value)()
    query(count.value, devices, ctypes.byref(count))
    displays = (display_of(_EGL_PLATFORM_DEVICE, device, None) for device in devices[: count.value])
    return any(display and egl.eglInitialize(display, None, None) for display in displays)

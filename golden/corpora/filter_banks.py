# SPDX-License-Identifier: Apache-2.0
"""Logarithmic mel filter banks as Kaldi's `compute-fbank-feats --dither=0` makes them."""

import numpy as np
import numpy.typing as npt

from ..arithmetic import Reals

RATE = 16_000
"""Samples per second."""
HOP, WINDOW, FFT = 160, 400, 512
"""Samples: 10 ms, 25 ms, and the next power of two."""
BANDS = 23
LOWEST = 20.0
"""Hz, where the first band starts; the last one ends at half the sample rate."""
PREEMPHASIS = 0.97
FLOOR = float(np.finfo(np.float32).eps)


def frame_count(samples: int) -> int:
    """How many whole windows there are; frame t covers samples [160 t, 160 t + 400)."""
    return 1 + (samples - WINDOW) // HOP if samples >= WINDOW else 0


def filter_banks(samples: npt.ArrayLike, bands: int = BANDS) -> npt.NDArray[np.float32]:
    """Log energies [frames, bands] of int16 samples [n] at 16 kHz.

    Each window loses its mean, is pre-emphasized (x[i] - 0.97 x[i-1], with x[-1] = x[0]),
    weighted by Povey's window (Hann to the power of 0.85), and its power spectrum is summed in
    triangles on the mel scale.
    """
    signal = np.asarray(samples, np.float64)
    frames = frame_count(len(signal))
    if not frames:
        return np.zeros((0, bands), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(signal, WINDOW)[::HOP][:frames]
    windows = windows - windows.mean(axis=1, keepdims=True)
    before = np.concatenate([windows[:, :1], windows[:, :-1]], axis=1)
    windows = (windows - PREEMPHASIS * before) * povey_window()
    power = np.abs(np.fft.rfft(windows, FFT)) ** 2
    return np.log(np.maximum(power @ mel_triangles(bands), FLOOR)).astype(np.float32)


def povey_window() -> Reals:
    """[WINDOW] Hann's window to the power of 0.85."""
    window: Reals = np.hanning(WINDOW) ** 0.85
    return window


def mel_triangles(bands: int = BANDS) -> Reals:
    """[FFT / 2 + 1, bands] weights of the spectrum's bins, triangles over mel(f) of height 1.

    mel(f) = 1127 ln(1 + f / 700). The bin at half the sample rate has no weight.
    """
    edges = np.linspace(_mel(LOWEST), _mel(RATE / 2), bands + 2)
    bins = _mel(np.arange(FFT // 2 + 1) * RATE / FFT)[:, None]
    rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0.0, np.minimum(rise, fall))
    triangles[-1] = 0.0
    return np.asarray(triangles)


def _mel(hertz: npt.ArrayLike) -> Reals:
    return np.asarray(1127 * np.log1p(np.asarray(hertz, np.float64) / 700))

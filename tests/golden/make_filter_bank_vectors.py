# SPDX-License-Identifier: Apache-2.0
"""Writes filter_bank_vectors.npz with Kaldi's filter banks, by the package kaldi-native-fbank.

    pip install kaldi-native-fbank==1.23.0 numpy
    python tests/golden/make_filter_bank_vectors.py

samples int16 [4000]: a chirp with noise, then silence; bands float32 [frames, 23] and, with 40
bands, bands40 float32 [frames, 40].
"""

from pathlib import Path

import kaldi_native_fbank
import numpy as np

RATE = 16_000


def make_samples() -> np.ndarray:
    time = np.arange(4000) / RATE
    rng = np.random.default_rng(0)
    signal = 9000 * np.sin(2 * np.pi * (80 + 14_000 * time) * time)
    signal += rng.normal(size=4000) * 200 + 300
    signal[3000:3600] = 0
    return np.rint(signal).astype(np.int16)


def kaldi(samples: np.ndarray, bands: int) -> np.ndarray:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.samp_freq = RATE
    options.mel_opts.num_bins = bands
    bank = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(RATE, samples.astype(np.float32).tolist())
    bank.input_finished()
    return np.array([bank.get_frame(n) for n in range(bank.num_frames_ready)], np.float32)


def main() -> None:
    samples = make_samples()
    target = Path(__file__).with_name("filter_bank_vectors.npz")
    arrays = {"samples": samples, "bands": kaldi(samples, 23), "bands40": kaldi(samples, 40)}
    np.savez_compressed(target, **arrays)


if __name__ == "__main__":
    main()

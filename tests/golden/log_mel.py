"""Log-mel spectrograms by NumPy, from the formula in common/data/log_mel.h."""

import numpy as np


def mel(frequency):
    return 2595 * np.log10(1 + frequency / 700)


def spectrogram(sound, rate, bands, window, hop):
    """[bands, frames]"""
    hann = (1 - np.cos(2 * np.pi * np.arange(window) / window)) / 2
    starts = range(0, len(sound) - window + 1, hop)
    power = np.stack([np.abs(np.fft.rfft(hann * sound[at : at + window])) ** 2 for at in starts])
    points = 700 * (10 ** (np.linspace(0, mel(rate / 2), bands + 2) / 2595) - 1)
    frequencies = np.arange(window // 2 + 1) * rate / window
    low, top, high = points[:-2, None], points[1:-1, None], points[2:, None]
    triangles = np.maximum(
        0, np.minimum((frequencies - low) / (top - low), (high - frequencies) / (high - top))
    )
    return np.log(np.maximum(triangles @ power.T, 1e-10))


def log_mel():
    cases = []
    for rate, bands, window, hop, samples in (
        (8000, 40, 256, 128, 1000),
        (16000, 20, 512, 160, 2000),
        (44100, 3, 16, 16, 40),
    ):
        sound = ((np.arange(samples) * 7919) % 1009 - 504) / 1024
        sound[: window // 2] = 0
        made = spectrogram(sound, rate, bands, window, hop)
        cases.append(
            {
                "rate": rate,
                "bands": bands,
                "window": window,
                "hop": hop,
                "samples": samples,
                "frames": made.shape[1],
                "values": [float(value) for value in made.flatten()],
            }
        )
    return {"cases": cases}

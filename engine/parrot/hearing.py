"""What the measurements hear: level, envelope, mel spectrum, cepstrum and pitch of a sound at 24 kHz."""

import numpy as np
from numpy.typing import NDArray

from engine.parrot.corpus import SAMPLE_RATE, Samples

Floats = NDArray[np.float64]

_HOP, _WINDOW = 240, 1024
_PITCH_WINDOW, _PITCH_HOP = 1920, 960
_COSINES: Floats = np.cos(np.pi * np.arange(1, 14)[:, None] * (np.arange(40) + 0.5) / 40)


def rms(sound: Samples) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))


def decibels(ratio: float) -> float:
    """A ratio of amplitudes in dB; zero is -180."""
    return float(20 * np.log10(ratio + 1e-9))


def envelope_of(sound: Samples) -> Floats:
    """RMS of every 10 ms, [hops]."""
    hops = sound[: len(sound) // _HOP * _HOP].reshape(-1, _HOP)
    envelope: Floats = np.sqrt(np.mean(np.square(hops, dtype=np.float64), axis=1))
    return envelope


def _windows(sound: Samples, length: int, hop: int) -> Floats:
    frames = np.lib.stride_tricks.sliding_window_view(sound.astype(np.float64), length)[::hop]
    windowed: Floats = frames * np.hanning(length)
    return windowed


def _mel_spectrum(sound: Samples, bands: int, low_hz: float, high_hz: float) -> Floats:
    magnitudes = np.abs(np.fft.rfft(_windows(sound, _WINDOW, _HOP)))
    low_mel, high_mel = 1127 * np.log1p(low_hz / 700), 1127 * np.log1p(high_hz / 700)
    edges = 700 * np.expm1(np.linspace(low_mel, high_mel, bands + 2) / 1127)
    f = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE)
    rising = (f - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - f) / np.diff(edges)[1:, None]
    spectrum: Floats = magnitudes @ np.clip(np.minimum(rising, falling), 0, None).T
    return spectrum


def log_mel_spectrum(sound: Samples) -> Floats:
    """Logarithm of 80 mel bands every 10 ms, [hops, 80]."""
    log_mel: Floats = np.log(_mel_spectrum(sound, 80, 0, 12_000) + 1e-3)
    return log_mel


def cepstrum_of(sound: Samples) -> Floats:
    """Thirteen coefficients every 10 ms, [hops, 13], without their mean: what is said, not how or by whom."""
    log_mel: Floats = np.log(_mel_spectrum(sound, 40, 100, 7000) / rms(sound) + 0.05)
    cepstrum: Floats = log_mel @ _COSINES.T
    cepstrum -= cepstrum.mean(0)
    return cepstrum


def warped_distance(a: Floats, b: Floats) -> float:
    """Dynamic time warping: the cheapest way through all pairs of hops, over the lengths."""
    cost = np.linalg.norm(a[:, None] - b[None], axis=2)
    total = np.full((len(a) + 1, len(b) + 1), np.inf)
    total[0, 0] = 0
    for i in range(len(a)):
        for j in range(len(b)):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j + 1], total[i + 1, j], total[i, j])
    return float(total[-1, -1] / (len(a) + len(b)))


def pitch_of(sound: Samples) -> Floats:
    """Autocorrelation pitch of 70 to 420 Hz every 40 ms, NaN where nothing voiced is to be heard."""
    frames = _windows(sound, _PITCH_WINDOW, _PITCH_HOP)
    spectra = np.fft.rfft(frames, 4096)
    spectra[:, 205:] = 0  # 1.2 kHz
    correlation = np.fft.irfft(np.abs(spectra) ** 2)[:, :400]
    correlation /= correlation[:, :1] + 1e-9
    correlation /= np.maximum(1 - np.arange(400) / _PITCH_WINDOW, 0.2)
    lag = 57 + correlation[:, 57:343].argmax(1)
    voiced = np.take_along_axis(correlation, lag[:, None], 1)[:, 0] > 0.5
    loud = np.sqrt(np.mean(frames**2, axis=1)) > 0.006
    return np.where(voiced & loud, SAMPLE_RATE / lag, np.nan)

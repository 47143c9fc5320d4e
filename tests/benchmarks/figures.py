"""Percentiles and bootstrap intervals. Every interval is a 95 % percentile bootstrap with a fixed seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
SEED = 20_261_122


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def settled(self) -> str:
        """`above`, `below`, or `level` when the interval holds zero."""
        return "above" if self.low > 0 else "below" if self.high < 0 else "level"

    def __str__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Mean of first - second, resampling the questions both were asked."""
    differences: NDArray[np.float64] = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    drawn = np.random.default_rng(SEED).integers(0, len(differences), size=(RESAMPLES, len(differences)))
    means = differences[drawn].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(differences.mean()), float(low), float(high))


def ratio_of_medians(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Median of first over median of second, resampling the rounds of both."""
    generator = np.random.default_rng(SEED)
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    ones = np.median(one[generator.integers(0, len(one), size=(RESAMPLES, len(one)))], axis=1)
    twos = np.median(two[generator.integers(0, len(two), size=(RESAMPLES, len(two)))], axis=1)
    low, high = np.percentile(ones / twos, [2.5, 97.5])
    return Interval(float(np.median(one) / np.median(two)), float(low), float(high))


def percentile(values: Sequence[float], share: float) -> float:
    """`share` in percent."""
    return float(np.percentile(np.asarray(values, dtype=np.float64), share))

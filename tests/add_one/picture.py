"""A picture: importances as stems over the centres of the groups."""

import matplotlib.pyplot as plt
import numpy as np


class StemDisplay:
    """Importances of one sample as stems. Use `from_values` to make one."""

    def __init__(self, values, centers, unit):
        self.values, self.centers, self.unit = values, centers, unit

    @classmethod
    def from_values(cls, values, centers, *, unit="centre of the group", ax=None):
        values, centers = np.asarray(values, float), np.asarray(centers, float)
        if values.shape != centers.shape or values.ndim != 1:
            raise ValueError(
                f"values has shape {values.shape} and centers {centers.shape}; "
                "expected one number per group in each. Take one sample: values[0]."
            )
        return cls(values, centers, unit).plot(ax)

    def plot(self, ax=None):
        self.ax_ = plt.subplots()[1] if ax is None else ax
        self.figure_ = self.ax_.figure
        markers, stems, base = self.ax_.stem(self.centers, self.values)
        stems.set_color(np.where(self.values < 0, "#0072B2", "#D55E00"))
        markers.set_color("#4D4D4D")
        base.set_color("#4D4D4D")
        self.ax_.set_xlabel(self.unit)
        self.ax_.set_ylabel("importance")
        return self

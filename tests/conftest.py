"""What every test runs under."""

import matplotlib as mpl
import torch

mpl.use("Agg")
torch.set_num_threads(1)

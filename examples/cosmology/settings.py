"""How large the studies are: for two cores, or the papers' sizes for a GPU."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Sizes of both studies."""

    # of the networks, and where they run
    device: str
    # study A: maps of each of ten cosmologies
    a_architecture: str
    a_pixels: int
    a_maps: int
    a_test_size: float
    a_epochs: int
    a_batch: int
    # test maps that are explained
    a_explained: int
    # study B: maps of each of 101 cosmologies, and of the fiducial suite
    b_architecture: str
    b_pixels: int
    b_pixel_arcmin: float
    b_maps: int
    b_epochs: int
    b_batch: int
    b_test_maps: int
    b_fiducial: int
    # maps whose pixels are explained, of each of ten cosmologies
    b_explained: int

    # both
    seed: int = 0
    a_pixel_arcmin: float = 0.8
    smoothing_arcmin: float = 1.0
    galaxies_per_arcmin2: float = 30.0
    # maps in memory at once beyond which they are made when they are needed
    most_maps: int = 20_000


SMALL = Settings(
    device="cpu",
    a_architecture="small",
    a_pixels=128,
    a_maps=200,
    a_test_size=0.2,
    a_epochs=20,
    a_batch=32,
    a_explained=100,
    b_architecture="small",
    b_pixels=256,
    b_pixel_arcmin=0.8,
    b_maps=16,
    b_epochs=12,
    b_batch=16,
    b_test_maps=60,
    b_fiducial=1500,
    b_explained=6,
)

FULL = Settings(
    device="cuda",
    a_architecture="resnet18",
    a_pixels=256,
    a_maps=10_000,
    a_test_size=0.1,
    a_epochs=25,
    a_batch=64,
    a_explained=1000,
    b_architecture="zorrilla",
    b_pixels=512,
    b_pixel_arcmin=0.41,
    b_maps=512,
    b_epochs=20,
    b_batch=32,
    b_test_maps=150,
    b_fiducial=120_000,
    b_explained=50,
)

SCALES = {"small": SMALL, "full": FULL}

"""Does a scorer find the group that labels come from? Networks with known answers."""

from sktrim.evaluation.recovery._benchmark import (
    RecoveryResult,
    RecoverySetting,
    RecoveryTable,
    default_settings,
    recovery_benchmark,
)

__all__ = [
    "RecoveryResult",
    "RecoverySetting",
    "RecoveryTable",
    "default_settings",
    "recovery_benchmark",
]

"""Places: who takes which, who is near, and what lies around; all without sorting."""

from .nearby import Plane as Plane, by_place as by_place
from .places import (
    assign as assign,
    match as match,
    one_each as one_each,
    pair_each as pair_each,
    permute as permute,
)
from .windows import window_sum as window_sum

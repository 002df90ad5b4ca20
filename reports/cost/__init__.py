"""What each place costs; what nobody stated and no server metered is `not stated`."""

from reports.cost.estimate import estimate_cost
from reports.cost.model import Cost

__all__ = ["Cost", "estimate_cost"]

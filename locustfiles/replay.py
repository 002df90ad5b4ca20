"""The main job: `locust -f locustfiles/replay.py` replays a workload on a target.

With no options it replays the bundled demo on the embedded 2.0.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

# Locust imports this file as `replay`, which is our package's name, and from its own directory
# first: put the package in its place before anything of it is imported.
elsewhere = [
    entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent
]
package = PathFinder.find_spec("replay", elsewhere)
if package is None or package.loader is None:
    sys.exit("error: fourstep is not installed for this Python\n\nhint: pip install -e .")
sys.modules["replay"] = module_from_spec(package)
package.loader.exec_module(sys.modules["replay"])

from locust import events  # noqa: E402

from replay.swarm.register import register  # noqa: E402
from replay.swarm.shape import ReplayShape, ReplayUser  # noqa: E402

__all__ = ["ReplayShape", "ReplayUser"]

register(events)

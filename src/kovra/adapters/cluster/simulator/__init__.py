"""A simulated cluster: enough of the Kubernetes API over HTTP for the real client, for machines without a cluster.

It keeps objects in memory, rolls Deployments and Jobs forward on a clock, refuses what Pod Security ``restricted`` and
quotas would refuse, serves pod logs, answers the OCI distribution API for test images and shows a page at an app's
address. Every answer says ``Kovra-Simulated: true``. Where it differs from a real API server, it is wrong.
"""

from kovra.adapters.cluster.simulator.faults import Fault
from kovra.adapters.cluster.simulator.server import Simulator, SimulatorOptions

__all__ = ["Fault", "Simulator", "SimulatorOptions"]

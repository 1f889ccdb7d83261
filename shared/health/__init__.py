"""Is an object current, in progress or failed? Pure: live objects in, `Health` out, by the rules of kstatus.

`assess` goes by the built-in rules; `expressions.HealthChecks` puts the user's CEL expressions before them; `pods`
adds what a workload's pods know.
"""

from shared.health.kinds import assess
from shared.health.pods import PodFailure, newest_failure, with_pods
from shared.health.verdict import Health, Status

__all__ = ["Health", "PodFailure", "Status", "assess", "newest_failure", "with_pods"]

"""What is counted, in one registry; served on internal ports only."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

METRICS: Final = CollectorRegistry()
HTTP_REQUESTS: Final = Counter(
    "kovra_http_requests_total", "Requests answered.", ("method", "route", "status"), registry=METRICS
)
HTTP_SECONDS: Final = Histogram("kovra_http_request_seconds", "Time to answer.", ("method", "route"), registry=METRICS)
HTTP_IN_FLIGHT: Final = Gauge("kovra_http_in_flight", "Requests being answered.", registry=METRICS)
LOGINS: Final = Counter("kovra_logins_total", "Logins tried, by result.", ("result",), registry=METRICS)
PASSWORD_HASHES: Final = Counter("kovra_password_hashes_total", "bcrypt runs.", ("reason",), registry=METRICS)
PASSWORDS_SHED: Final = Counter("kovra_passwords_shed_total", "Refused as too many were waiting.", registry=METRICS)
JOBS: Final = Counter("kovra_jobs_total", "Jobs run.", ("job", "result"), registry=METRICS)
JOB_SECONDS: Final = Histogram("kovra_job_seconds", "Time a job ran.", ("job",), registry=METRICS)
JOBS_RESCUED: Final = Counter(
    "kovra_jobs_rescued_total", "Jobs put back after their worker died.", ("job",), registry=METRICS
)
RUNNER_LIVES: Final = Counter(
    "kovra_runner_lives_total", "How often the worker left the queue and came back.", registry=METRICS
)
LOOP_UP: Final = Gauge("kovra_loop_up", "Whether a loop of the process works.", ("loop",), registry=METRICS)
LOOP_RESTARTS: Final = Counter(
    "kovra_loop_restarts_total", "How often a loop broke and was started again.", ("loop",), registry=METRICS
)
LIVE_STREAMS: Final = Gauge("kovra_live_streams", "Event streams that are open.", registry=METRICS)
LIVE_DROPPED: Final = Counter(
    "kovra_live_dropped_total", "Facts not sent to a stream that fell behind.", registry=METRICS
)
DEPLOYMENTS: Final = Counter("kovra_deployments_total", "Deployments finished.", ("outcome", "code"), registry=METRICS)
RUNS: Final = Counter("kovra_runs_total", "Runs of commands finished.", ("outcome", "code"), registry=METRICS)
DRIFT: Final = Counter("kovra_drift_total", "Objects changed in a cluster by others.", ("result",), registry=METRICS)
ISOLATION_PROOFS: Final = Counter("kovra_isolation_proofs_total", "Proofs ended.", ("state",), registry=METRICS)
COLLECTED_LINES: Final = Counter("kovra_collected_lines_total", "Lines of logs stored.", registry=METRICS)
COLLECTED_PODS: Final = Gauge("kovra_collected_pods", "Pods whose logs are collected.", registry=METRICS)
STREAMS_OPEN: Final = Gauge("kovra_streams_open", "Streams of logs and shells.", ("verb",), registry=METRICS)
STREAMED_LINES: Final = Counter("kovra_streamed_lines_total", "Lines of logs.", ("result",), registry=METRICS)
SECRET_OPENINGS: Final = Counter("kovra_secret_openings_total", "Secrets opened.", registry=METRICS)
SECRET_OPENINGS_HIGH: Final = Counter(
    "kovra_secret_openings_high_total", "Times an organization's secrets were opened too often.", registry=METRICS
)
VALUES_UNREADABLE: Final = Counter(
    "kovra_values_unreadable_total", "Sealed values that did not open.", ("code",), registry=METRICS
)
CLUSTER_PUT_OFF: Final = Counter(
    "kovra_cluster_jobs_put_off_total", "Jobs put off because their customer's cluster had enough.", registry=METRICS
)
CLUSTER_CHECKS: Final = Counter(
    "kovra_cluster_checks_total", "Looks at customers' clusters.", ("kind", "health"), registry=METRICS
)
CLUSTERS_WATCHED: Final = Gauge("kovra_clusters_watched", "Customers' clusters this process watches.", registry=METRICS)

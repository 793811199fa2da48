"""What is counted, for operators. Labels are words of this program, never of what was sent."""

from prometheus_client import Counter, Gauge, Histogram

BREAKER_OPEN = Gauge(
    "clinic_breaker_open",
    "1 while a kind of call is left alone after failures",
    ["service", "method"],
    multiprocess_mode="livemax",
)
CALL_DURATION = Histogram(
    "clinic_call_duration_seconds",
    "how long a service worked on calls; the outcome is ok, or the class of the error",
    ["method", "outcome"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
CALLS_UNANSWERED = Counter(
    "clinic_calls_unanswered",
    "calls of a service that did not answer in time",
    ["service", "method"],
)
MESSAGES_REFUSED = Counter(
    "clinic_messages_refused", "messages that no program of ours would send", ["queue", "reason"]
)
EVENTS_HANDLED = Counter(
    "clinic_events_handled",
    "deliveries of events: done, seen (before), retried, dead",
    ["handler", "outcome"],
)
OUTBOX_WAITING = Gauge(
    "clinic_outbox_waiting", "events that are not published yet", ["source"],
    multiprocess_mode="livemax",
)
OUTBOX_UNROUTABLE = Gauge(
    "clinic_outbox_unroutable",
    "events that wait because a queue for them is missing",
    ["source"],
    multiprocess_mode="livemax",
)

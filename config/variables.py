"""The environment variables that are settings: their names, defaults and meaning, in one table."""

from dataclasses import dataclass
from typing import Any

SERVERS = ("AMQP_URI", "DATABASE_URL", "REDIS_URL")
ADMINISTRATION = ("AMQP_URI", "DATABASE_URL", "AMQP_ADMIN_URL")
GATEWAY_KEYS = ("TOKEN_KEYS",)
SERVICE_KEYS = ("CALLER_KEYS", "DATA_KEYS", "INDEX_KEYS", "AUDIT_KEYS")
# Who takes no calls needs neither to know who calls nor to record it.
STORE_KEYS = ("DATA_KEYS", "INDEX_KEYS")
KEYS = GATEWAY_KEYS + SERVICE_KEYS


class SettingsError(Exception):
    """The settings do not allow a start; the text says which one and what it should be."""


@dataclass(frozen=True)
class Variable:
    """An environment variable, as the table of settings shows it; ``zero``: numbers may be 0."""

    name: str
    default: Any
    meaning: str
    zero: bool = False


VARIABLES = (
    Variable("PORT", 8000, "where the gateway listens"),
    Variable("HOST", "127.0.0.1", "on which address; `0.0.0.0` inside a container"),
    Variable("DATA_DIR", ".data", "databases of the embedded mode; servers of `make stack`"),
    Variable("AMQP_URI", "", "RabbitMQ, `amqp://user:password@host:5672/vhost`; real mode only"),
    Variable(
        "DATABASE_URL",
        "",
        "MySQL or MariaDB, `mysql+pymysql://user:password@host:3306/clinic`; each service's "
        "database is named after this one, `clinic_<service>`; real mode only",
    ),
    Variable(
        "AMQP_ADMIN_URL",
        "",
        "RabbitMQ's management API, `http://admin:password@host:15672`: `clinic setup` and `make "
        "stack` make a user for each program, `clinic topology` limits queues, `clinic check` "
        "looks at them",
    ),
    Variable("REDIS_URL", "", "Redis, `redis://:password@host:6379/0`; real mode only"),
    Variable(
        "TRUST_LOCAL_SERVERS",
        False,
        "`true` takes any password for servers on this machine; for trying things out",
    ),
    Variable(
        "TLS_CA_FILE",
        "",
        "certificates (PEM) by which the servers prove who they are; once set, MySQL is spoken to "
        "over TLS only, and `amqps://` and `rediss://` trust these instead of the machine's own",
    ),
    Variable("TOKEN_KEYS", "", "signs the tokens of the gateway, which alone needs it"),
    Variable("CALLER_KEYS", "", "signs who calls, from the gateway to the services"),
    Variable("DATA_KEYS", "", "encrypts personal data in the databases"),
    Variable("INDEX_KEYS", "", "hides the words by which personal data is found; keep one"),
    Variable("AUDIT_KEYS", "", "chains the audit trail; keep the old ones as long as the trail"),
    Variable("ADMIN_EMAIL", "", "the first administrator, made when there is none"),
    Variable("ADMIN_PASSWORD", "", "and the password, of at least 12 characters"),
    Variable("ACCESS_MINUTES", 15, "how long an access token lives"),
    Variable("SESSION_DAYS", 14, "how long a sign-in can be refreshed"),
    Variable(
        "RATE_LIMIT_PER_MINUTE",
        600,
        "requests of one account, or of one address without sign-in; of searches and bookings half "
        "as many each",
    ),
    Variable(
        "AUTH_RATE_LIMIT_PER_MINUTE",
        20,
        "attempts to sign in, and to register, from one address; and ten times as many on one "
        "account from addresses that it never signed in from",
    ),
    Variable("TRUSTED_PROXIES", 0, "how many proxies before the gateway add `X-Forwarded-For`"),
    Variable("CORS_ORIGINS", "", "origins whose pages may call, such as `https://a.example,...`"),
    Variable("CLINIC_TIMEZONE", "UTC", "IANA time zone of records that name none"),
    Variable(
        "CANCEL_NOTICE_MINUTES",
        1440,
        "until how long before the start patients may cancel or move an appointment themselves",
        zero=True,
    ),
    Variable(
        "REMINDER_MINUTES",
        "1440,120",
        "how long before the start reminders are due, each once; none when empty",
    ),
    Variable("PHONE_REGION", "", "region of national phone numbers, such as `GB`; none: refused"),
    Variable("CALL_SECONDS", 5.0, "deadline of a request, from the gateway to the last service"),
    Variable("PEER_SECONDS", 2.0, "deadline of one service asking another, within the former"),
    Variable(
        "EVENT_RETRY_SECONDS",
        "5,30,300",
        "how long an event that failed rests before each next try; then it is a dead letter",
    ),
    Variable(
        "EVENT_DAYS",
        30,
        "how long published events are kept; the ids of handled ones, too, but at least 31 days",
    ),
    Variable(
        "QUEUE_TYPE",
        "classic",
        "`classic`, or `quorum` where RabbitMQ is a cluster; of all queues, from the first start",
    ),
    Variable(
        "OPERATIONS_PORT",
        0,
        "where a program shows `/metrics`, `/livez` and `/readyz` to its operators, on `HOST`; "
        "nowhere when 0",
        zero=True,
    ),
    Variable("GATEWAY_WORKERS", 2, "gunicorn processes"),
    Variable("SERVICE_WORKERS", 10, "calls that a service process works on at once"),
    Variable("LOG_FORMAT", "json", "`json` or `text`; `make run` and `make stack` print text"),
    Variable("LOG_LEVEL", "INFO", "`DEBUG`, `INFO`, `WARNING` or `ERROR`"),
)
DEFAULTS = {variable.name: variable.default for variable in VARIABLES}


def table() -> str:
    """Every setting as a Markdown table."""
    rows = [f"| `{each.name}` | {_shown(each.default)} | {each.meaning} |" for each in VARIABLES]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def _shown(default: object) -> str:
    return f"`{default}`" if default != "" else ""

"""What a second process of each service does, and what the model says of more: for the page."""

from collections.abc import Mapping
from typing import Any

from config.programs import GATEWAY, catalogue
from tests.bench import model, scaling
from tests.bench.tables import table
from tests.bench.wrk import MANY_CALLERS

# In seconds; what is less is the idle time of a program that has no part in it.
NOTHING = 0.00005
GATEWAY_WORKERS = 2
# Servers that use several processors by themselves.
SERVERS = {"MariaDB": 4, "RabbitMQ": 4}
PROCESSES = (1, 2, 4, 8)


def written(found: Mapping[str, Any]) -> str:
    return "\n\n".join(_of(name, found) for name in scaling.MEASURED)


def _of(name: str, found: Mapping[str, Any]) -> str:
    one, two = (found[number][name] for number in (scaling.ONE, scaling.TWO))
    return "\n\n".join((
        f"**{name}**: {one['rate']:,.0f} a second with one process of each service, "
        f"{two['rate']:,.0f} with two. What each takes of a processor, in ms:",
        _demands_table(one["demands"], two["demands"]),
        "What the model says:",
        _model_table(one["demands"], processors=found["processors"]),
    ))


def _demands_table(one: Mapping[str, float], two: Mapping[str, float]) -> str:
    rows = [
        (name, f"{one[name] * 1000:.2f}", f"{two[name] * 1000:.2f}")
        for name in sorted(one, key=lambda each: -one[each])
        if one[name] > NOTHING
    ]
    whole = [f"{sum(each.values()) * 1000:.2f}" for each in (one, two)]
    return table(("", "one", "two"), [*rows, ("together", *whole)])


def _model_table(demands: Mapping[str, float], *, processors: int) -> str:
    here = model.most(demands, processors=processors)
    rows = [("1", f"{processors}, shared", f"{here:,.0f}", "processors")]
    for number in PROCESSES:
        servers = _servers(number)
        done = model.rate(demands, servers, callers=MANY_CALLERS)
        rows.append((str(number), "one each", f"{done:,.0f}", model.first_full(demands, servers)))
    return table(("processes of each", "processors", "a second", "full first"), rows)


def _servers(number: int) -> dict[str, int]:
    """One relay of a service publishes at a time, so its background program stays one."""
    services = (each.name for each in catalogue().programs if "background" not in each.name)
    return {**dict.fromkeys(services, number), GATEWAY: GATEWAY_WORKERS * number, **SERVERS}

"""What a system of queues does, if nobody asks again before they were answered.

Mean value analysis of a closed network (Reiser and Lavenberg, 1980), which is exact for stations
that take whoever comes first and requests that take a time of chance. Ours take times that vary
less, so a little more is done than it says.
"""

from collections.abc import Mapping


def rate(demands: Mapping[str, float], servers: Mapping[str, int], *, callers: int) -> float:
    """Answers in a second.

    :param demands: the seconds of a processor that one request takes at each station.
    :param servers: how many of a station there are, with a processor for each; otherwise it is one.
        Requests go to each of them alike, and wait in a queue of each.
    """
    shares = {name: demand / servers.get(name, 1) for name, demand in demands.items()}
    waiting = dict.fromkeys(demands, 0.0)
    answers = 0.0
    for present in range(1, callers + 1):
        stays = {name: demand * (1 + waiting[name]) for name, demand in demands.items()}
        answers = present / sum(stays.values())
        waiting = {name: answers * share * (1 + waiting[name]) for name, share in shares.items()}
    return answers


def most(demands: Mapping[str, float], *, processors: int) -> float:
    """Answers in a second if all stations share ``processors``, and none of these is ever idle."""
    return processors / sum(demands.values())


def first_full(demands: Mapping[str, float], servers: Mapping[str, int]) -> str:
    """The station that more callers cannot make any busier."""
    return max(demands, key=lambda name: demands[name] / servers.get(name, 1))

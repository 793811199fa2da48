"""What is left on the broker, in the logs and in the processes once it is quiet."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from statistics import median

import httpx
import redis
from sqlalchemy import select

from config.messaging.dead_letters import QUEUE, REASON
from config.messaging.topology import DEAD_LETTERS
from tests.drill.broker import REPLIES
from tests.drill.drain import OUTBOXES
from tests.drill.evidence import Evidence
from tests.drill.samples import Sample
from tests.e2e.markers import Content, hits

Found = tuple[int, list[str]]
# What a process may have more of in the end: its pools fill as they are needed.
MORE_HANDLES, MORE_THREADS = 12, 8
MORE_MEMORY, MEMORY_GROWTH = 48 * 1024 * 1024, 1.25
# Of each program: replies and what is put aside go through pools of connections.
MORE_CONNECTIONS = 5


def queues(evidence: Evidence) -> Found:
    depths = evidence.stage.broker.depths()
    findings = [
        f"{each.queue} holds {each.messages}"
        for each in depths
        if each.messages and each.queue != DEAD_LETTERS
    ]
    if any(each.queue == DEAD_LETTERS for each in depths):
        findings += _letters(evidence)
    findings += _orphans(evidence, [each.queue for each in depths])
    return len(depths), findings


def _letters(evidence: Evidence) -> Iterator[str]:
    """Each junk that was sent is one; nothing else is."""
    kept: Counter[str] = Counter()
    known = {name for junk in evidence.junk for name in (junk.sha256, junk.text)}
    for letter in evidence.stage.broker.peek(DEAD_LETTERS):
        name, headers = _name_of(letter["payload"]), letter["properties"].get("headers", {})
        kept[name] += 1
        if name not in known:
            yield f"a dead letter of {headers.get(QUEUE)}: {headers.get(REASON)}"
    for junk in evidence.junk:
        if not kept[junk.sha256] + kept[junk.text]:
            yield f"junk to {junk.routing_key} ({junk.what}) is no dead letter"


def _name_of(payload: str) -> str:
    """What is left of a call is its description; events stay as they are."""
    with suppress(ValueError):
        described = json.loads(payload)
        if isinstance(described, dict) and "sha256" in described:
            return str(described["sha256"])
    return payload


def _orphans(evidence: Evidence, names: list[str]) -> Iterator[str]:
    """Queues of processes that are gone: there are more than there were of the same processes."""
    replies = sum(name.startswith(REPLIES) for name in names)
    known = evidence.before.get("replies", replies)
    if replies > known + MORE_CONNECTIONS:
        yield f"{replies} queues for answers, {known} before"


def marked(evidence: Evidence) -> Found:
    contents = list(_contents(evidence))
    looked_at = sum(len(content) for _, content in contents)
    return looked_at, hits(evidence.world.markers, contents)


def _contents(evidence: Evidence) -> Iterator[Content]:
    stage = evidence.stage
    logs = [*stage.logs, *stage.folder.glob("servers/*/*.log"), stage.folder / "history.jsonl"]
    for log in logs:
        if log.exists():
            yield log.name, log.read_bytes()
    for source, outbox in OUTBOXES.items():
        with evidence.reading(source) as connection:
            bodies = "\n".join(connection.scalars(select(outbox.body)))
        yield f"events of {source}", bodies.encode()
    for depth in stage.broker.depths():
        if depth.messages:
            yield depth.queue, json.dumps(stage.broker.peek(depth.queue)).encode()
    yield from _cached(evidence)
    yield from _shown(evidence)


def _cached(evidence: Evidence) -> Iterator[Content]:
    with redis.Redis.from_url(evidence.stage.environ["REDIS_URL"]) as client:
        for key in client.scan_iter(count=1000):
            with suppress(redis.ResponseError):
                yield f"Redis {key!r}", key + (client.dump(key) or b"")


def _shown(evidence: Evidence) -> Iterator[Content]:
    """What operators see of each process, where it shows anything."""
    for each in evidence.stage.supervisor.instances:
        port = each.env.get("OPERATIONS_PORT", "0")
        with suppress(httpx.TransportError):
            shown = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5, verify=False,
                              trust_env=False)
            yield f"metrics of {each.name}", shown.content


def flat(evidence: Evidence) -> Found:
    if evidence.samples is None:
        return 0, []
    by_name: dict[str, list[Sample]] = defaultdict(list)
    for sample in evidence.samples.processes:
        by_name[sample.name].append(sample)
    findings = [text for name, taken in by_name.items() for text in _grown(name, taken)]
    return len(by_name), [*findings, *_connected(evidence)]


def _grown(name: str, taken: list[Sample]) -> Iterator[str]:
    """Servers keep what they have read in memory, so theirs is not looked at."""
    early, late = taken[: max(3, len(taken) // 5)], taken[-3:]
    for what, more in (("handles", MORE_HANDLES), ("threads", MORE_THREADS)):
        before, after = (max(getattr(each, what) for each in some) for some in (early, late))
        if after > before + more and "-" in name:
            yield f"{name}: {before:.0f} {what} at first, {after:.0f} at last"
    before, after = max(each.rss for each in early), median(each.rss for each in late)
    if after > before * MEMORY_GROWTH + MORE_MEMORY and "-" in name:
        yield f"{name}: {before / 2**20:.0f} MB at first, {after / 2**20:.0f} MB at last"


def _connected(evidence: Evidence) -> Iterator[str]:
    after, programs = evidence.stage.broker.counts(), len(evidence.stage.supervisor.instances)
    for what, before in evidence.before.items():
        if after.get(what, 0) > before + MORE_CONNECTIONS * programs:
            yield f"RabbitMQ: {before} {what} at first, {after[what]} at last"

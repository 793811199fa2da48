"""Whatever is done to a trail behind the application's back is named."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.audit.chain import SEALED, Entry, Head, canonical, links, mac_of, new_head
from config.audit.verify import EDITED, MISSING, NO_WITNESS, REORDERED, Examination
from config.keys import fresh, parse_ring

NOON = datetime(2031, 3, 4, 12, tzinfo=UTC)
RING = parse_ring(fresh(("AUDIT_KEYS",))["AUDIT_KEYS"])
words = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=32)
instants = st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1))
ids = st.integers(0, 2**63 - 1)
entries = st.builds(
    Entry,
    at=instants,
    actor_role=words,
    actor_account=st.none() | ids,
    action=words,
    resource=st.none() | words,
    subject=st.none() | words,
    outcome=words,
    correlation_id=words,
)
OTHER_VALUES = {
    "at": instants,
    "number": st.integers(-3, 30),
    "actor_account": st.none() | ids,
    "resource": st.none() | words,
    "subject": st.none() | words,
    "witness": st.none() | words,
}


@st.composite
def trails(draw):
    """Rows as several processes write them: in turns, each from its own beginning."""
    heads, rows = {}, []
    for entry in draw(st.lists(entries, min_size=2, max_size=12)):
        writer = draw(st.integers(0, 2))
        witness = rows[-1]["mac"] if rows else ""
        (row,) = links(heads.get(writer) or new_head(witness), [entry], ring=RING)
        heads[writer] = Head.of(row)
        rows.append({**row, "position": len(rows) + 1})
    return rows


def trail(*lengths):
    """Chains of so many rows, one process after the other."""
    rows = []
    for length in lengths:
        entry = Entry(
            at=NOON, actor_role="staff", action="get", outcome="200", correlation_id="c"
        )
        head = new_head(rows[-1]["mac"] if rows else "")
        rows += links(head, [entry] * length, ring=RING)
    return [{**row, "position": place} for place, row in enumerate(rows, start=1)]


def heads_of(rows):
    return list({row["chain"]: Head.of(row) for row in rows}.values())


def examined(rows, *, heads=(), ring=RING):
    witnesses = {row["witness"] for row in rows if row["number"] == 1 and row["witness"]}
    examination = Examination(ring, witnesses=witnesses, heads=heads)
    for row in sorted(rows, key=lambda row: row["position"]):
        examination.see(row)
    return examination.findings()


def only(findings):
    (finding,) = findings
    return finding


@given(trails())
def test_what_was_written_verifies(rows):
    assert examined(rows, heads=heads_of(rows)) == []


@given(trails(), st.data())
def test_any_edit_of_any_field_is_named(rows, data):
    row = data.draw(st.sampled_from(rows))
    name = data.draw(st.sampled_from([*SEALED, "witness", "mac"]))
    row[name] = data.draw(
        OTHER_VALUES.get(name, words).filter(lambda value: value != row[name])
    )
    assert examined(rows) != []


@given(trails(), st.data())
def test_any_removal_is_named_where_the_heads_are_known(rows, data):
    heads = heads_of(rows)
    rows.remove(data.draw(st.sampled_from(rows)))
    assert examined(rows, heads=heads) != []


@given(trails(), st.data())
def test_a_removed_row_that_something_follows_is_named_without_the_heads(rows, data):
    newest = {head.mac for head in heads_of(rows)}
    witnesses = {row["witness"] for row in rows}
    followed = [row for row in rows if row["mac"] not in newest or row["mac"] in witnesses]
    if followed:
        rows.remove(data.draw(st.sampled_from(followed)))
        assert examined(rows) != []


@given(trails(), st.data())
def test_any_two_rows_of_a_chain_that_change_places_are_named(rows, data):
    first = data.draw(st.sampled_from(rows))
    chain = [row for row in rows if row["chain"] == first["chain"] and row is not first]
    if chain:
        second = data.draw(st.sampled_from(chain))
        first["position"], second["position"] = second["position"], first["position"]
        assert examined(rows) != []


@given(entries, entries, words, words)
def test_no_two_rows_have_the_same_bytes(one, other, previous, other_previous):
    head = new_head("")
    (a,), (b,) = links(head, [one], ring=RING), links(head, [other], ring=RING)
    same = (one, previous) == (other, other_previous)
    assert (canonical(a, previous=previous) == canonical(b, previous=other_previous)) == same


@given(st.lists(st.none() | words, min_size=6, max_size=6), st.data())
def test_values_do_not_run_into_each_other(values, data):
    names = ["actor_role", "action", "resource", "subject", "outcome", "correlation_id"]
    (row,) = trail(1)
    moved = data.draw(st.permutations(values))
    one, other = ({**row, **dict(zip(names, each, strict=True))} for each in (values, moved))
    assert (canonical(one, previous="") == canonical(other, previous="")) == (values == moved)


def test_an_instant_is_sealed_to_the_microsecond():
    (row,) = trail(1)
    later = {**row, "at": row["at"] + timedelta(microseconds=1)}
    assert canonical(row, previous="") != canonical(later, previous="")


def test_an_edited_row_is_named_by_its_place():
    rows = trail(5)
    rows[2]["subject"] = "patient/13"
    finding = only(examined(rows))
    assert (finding.chain, finding.number, finding.position) == (rows[0]["chain"], 3, 3)
    assert finding.what == EDITED
    assert str(finding) == f"position 3, chain {rows[0]['chain']}, number 3: edited"


def test_a_removed_row_is_named_by_its_number():
    rows = trail(5)
    del rows[2]
    finding = only(examined(rows))
    assert (finding.number, finding.position, finding.what) == (3, 4, MISSING)


def test_a_row_behind_its_successor_is_named():
    rows = trail(5)
    rows[1]["position"], rows[2]["position"] = 3, 2
    finding = only(examined(rows))
    assert (finding.number, finding.position, finding.what) == (2, 3, REORDERED)


def test_the_end_of_a_chain_that_a_later_one_has_seen_is_missed():
    rows = trail(3, 2)
    del rows[2]
    finding = only(examined(rows))
    assert (finding.chain, finding.number, finding.what) == (rows[-1]["chain"], 1, NO_WITNESS)


def test_each_bad_chain_is_named_once():
    rows = trail(3, 3, 3)
    for place in (0, 1, 6, 7):
        rows[place]["outcome"] = "404"
    found = [(finding.chain, finding.number) for finding in examined(rows)]
    assert found == [(rows[0]["chain"], 1), (rows[6]["chain"], 1)]


def test_a_cut_tail_shows_by_the_head_that_was_kept():
    rows = trail(5)
    finding = only(examined(rows[:3], heads=heads_of(rows)))
    assert (finding.number, finding.position) == (4, None)
    assert finding.what == "tail cut; it went on to at least 5"


def test_a_removed_chain_shows_by_the_head_that_was_kept():
    rows = trail(2, 3)
    finding = only(examined(rows[:2], heads=heads_of(rows)))
    assert finding.chain == rows[-1]["chain"]
    assert finding.what == "chain removed; it had at least 3 rows"


def test_a_chain_that_was_written_anew_with_the_key_shows_by_the_head_that_was_kept():
    rows = trail(3)
    forged = [{**row, "outcome": "404"} for row in rows]
    previous = ""
    for row in forged:
        row["mac"] = previous = mac_of(row, previous=previous, ring=RING)
    assert examined(forged) == []
    assert only(examined(forged, heads=heads_of(rows))).what == "not the row whose head was kept"


def test_heads_that_are_there_still_are_no_finding_however_old():
    rows = trail(4, 2)
    assert examined(rows, heads=[Head.of(row) for row in rows]) == []


def test_a_key_that_is_lacking_is_named():
    rows = trail(2)
    other = parse_ring("2031:" + "abcdefghijklmnopqrstuvwxyz0123456789")
    assert "AUDIT_KEYS lacks the key '1'" in only(examined(rows, ring=other)).what


def test_rows_of_a_retired_key_verify_while_the_ring_holds_it():
    rows, new = trail(2), "2031:abcdefghijklmnopqrstuvwxyz0123456789"
    rotated = parse_ring(f"{new},1:{RING.secrets[0][1]}")
    later = links(new_head(rows[-1]["mac"]), [ENTRY], ring=rotated)
    rows.append({**later[0], "position": 3})
    assert rows[-1]["key_id"] == "2031"
    assert examined(rows, ring=rotated) == []


ENTRY = Entry(at=NOON, actor_role="staff", action="get", outcome="200", correlation_id="c")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("action", "GET /patients/Ada\n"),
        ("action", "x" * 129),
        ("outcome", ""),
        ("subject", "Zoë"),
        ("actor_account", 2**63),
        ("actor_account", -1),
    ],
)
def test_an_entry_holds_short_technical_words_only(name, value):
    fields = {"actor_role": "staff", "action": "get", "outcome": "200", "correlation_id": "c"}
    with pytest.raises(ValueError, match=name) as refused:
        Entry(**{**fields, name: value})
    assert not value or str(value) not in str(refused.value)

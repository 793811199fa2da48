"""What is refused, how it is said, and that nothing of it is kept; in each mode."""

import io
import json
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.desk import (
    Json,
    book,
    booking_body,
    doctor_body,
    morning,
    patient_body,
    problem,
    refused_fields,
    register_doctor,
    register_patient,
    stored,
    unique,
)
from tests.systems import System
from tests.waiting import PATIENCE

LEFT_OUT = object()
LARGEST_BODY = 64 * 1024
AS_JSON = {"Content-Type": "application/json"}
TODAY = datetime.now(UTC).date()

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

BAD_TEXTS: dict[str, Any] = {
    "left out": LEFT_OUT,
    "null": None,
    "empty": "",
    "blank": " \t ",
    "a number": 7,
    "a truth value": True,
    "a list": ["Ada"],
    "an object": {"first": "Ada"},
    "with NUL": "A\0da",
    "with an escape character": "A\x1bda",
    "with a C1 control character": "A\x85da",
    "with a lone surrogate": "A\ud800da",
}
BAD_NAMES = {**BAD_TEXTS, "over two lines": "Ada\nByron", "too long": "x" * 201}
BAD_EMAILS: dict[str, Any] = {
    "empty": "",
    "a number": 7,
    "a list": ["ada@example.org"],
    "without @": "ada.example.org",
    "without a domain": "ada@",
    "without a local part": "@example.org",
    "with two @": "ada@byron@example.org",
    "with a space": "ada byron@example.org",
    "with a line break": "ada@example.org\nBcc: all@example.org",
    "with a dot too many": "ada..byron@example.org",
    "with a domain of one word": "ada@localhost",
    "with an odd domain": "ada@-example-.org",
    "with a name": "Ada Byron <ada@example.org>",
    "with a lone surrogate": "a\udc00da@example.org",
    "too long": "x" * 64 + "@" + "example." * 24 + "org",
}
BAD_PHONES: dict[str, Any] = {
    "left out": LEFT_OUT,
    "null": None,
    "empty": "",
    "a number": 442079460958,
    "a word": "telephone",
    "national, with no region to read it in": "020 7946 0958",
    "too short": "+44 20 79",
    "too long": "+44 20 7946 0958 0958 0958",
    "of no country": "+999 20 7946 0958",
    "with an extension": "+44 20 7946 0958 ext. 12",
    "with NUL": "+44 20 7946\0 0958",
    "with a lone surrogate": "+44 20 7946 0958\ud800",
}
BAD_PERSON: dict[str, dict[str, Any]] = {
    "name": BAD_NAMES,
    "email": BAD_EMAILS,
    "phone": BAD_PHONES,
    "id": {"sent": 1},
    "createdAt": {"sent": "2020-01-01T00:00:00Z"},
    "updatedAt": {"sent": "2020-01-01T00:00:00Z"},
    "version": {"sent": 1},
    "__proto__": {"sent": {}},
}
BAD_PATIENT: dict[str, dict[str, Any]] = {
    **BAD_PERSON,
    "dob": {
        "left out": LEFT_OUT,
        "null": None,
        "empty": "",
        "a number": 19851210,
        "today": TODAY.isoformat(),
        "the day after tomorrow": (TODAY + timedelta(days=2)).isoformat(),
        "131 years ago": f"{TODAY.year - 131}-{TODAY:%m}-01",
        "in the year 1": "0001-01-01",
        "in the year 0": "0000-01-01",
        "the 30th of February": "1985-02-30",
        "in a 13th month": "1985-13-01",
        "the day first": "10-12-1985",
        "with slashes": "1985/12/10",
        "without dashes": "19851210",
        "a week date": "1985-W50-2",
        "with a time": "1985-12-10T00:00:00Z",
        "in other digits": "١٩٨٥-١٢-١٠",
    },
    "address": {**BAD_TEXTS, "too long": "x" * 501},
    "speciality": {"of a doctor": "Cardiology"},
    "timezone": {"of a doctor": "UTC"},
}
BAD_DOCTOR: dict[str, dict[str, Any]] = {
    **BAD_PERSON,
    "speciality": {**BAD_TEXTS, "too long": "x" * 101},
    "timezone": {
        "empty": "",
        "a number": 1,
        "of no place": "Mars/Olympus_Mons",
        "an offset": "+01:00",
        "a way out of the folder": "../../etc/passwd",
        "in another case": "europe/berlin",
    },
    "dob": {"of a patient": "1985-12-10"},
    "address": {"of a patient": "London"},
}
BAD_IDS: dict[str, Any] = {
    "left out": LEFT_OUT,
    "null": None,
    "zero": 0,
    "negative": -1,
    "beyond 64 bits": 2**63,
    "beyond all bounds": 10**39,
    "a text": "1",
    "a fraction": 1.5,
    "a whole number with a point": 1.0,
    "a truth value": True,
    "a list": [1],
}
BAD_APPOINTMENT: dict[str, dict[str, Any]] = {
    "patientId": BAD_IDS,
    "doctorId": BAD_IDS,
    "date": {
        "left out": LEFT_OUT,
        "null": None,
        "empty": "",
        "a number": 1893488400,
        "a word": "tomorrow",
        "a day": "2090-01-01",
        "the 30th of February": "2090-02-30T10:00:00Z",
        "at 25 o'clock": "2090-01-01T25:00:00Z",
        "at 24 o'clock": "2090-01-01T24:00:00Z",
        "in the 60th second": "2090-01-01T10:00:60Z",
        "with an impossible offset": "2090-01-01T10:00:00+25:00",
        "with the name of a zone": "2090-01-01T10:00:00[Europe/Berlin]",
        "without dashes": "20900101T100000Z",
        "with a comma": "2090-01-01T10:00:00,5Z",
        "in the year 10000": "10000-01-01T10:00:00Z",
        "beyond the last year, in UTC": "9999-12-31T23:59:00-14:00",
        "ending beyond the last year": "9999-12-31T23:45:00Z",
        "with NUL": "2090-01-01T10:00:00Z\0",
    },
    "durationMinutes": {
        "zero": 0,
        "negative": -30,
        "below 5": 4,
        "no multiple of 5": 32,
        "above 480": 485,
        "enormous": 2**63,
        "a text": "30",
        "a fraction": 30.5,
        "a whole number with a point": 30.0,
        "a truth value": True,
    },
    "description": {**BAD_TEXTS, "too long": "x" * 2001},
    "id": {"sent": 1},
    "end": {"sent": "2090-01-01T10:30:00Z"},
    "status": {"sent": "fulfilled"},
    "cancelReason": {"sent": "none"},
    "uncovered": {"sent": False},
    "createdAt": {"sent": "2020-01-01T00:00:00Z"},
    "updatedAt": {"sent": "2020-01-01T00:00:00Z"},
    "patient": {"sent": "Ada Byron"},
}


def each(table: dict[str, dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("field", "value"),
        [
            pytest.param(field, value, id=f"{field} {why}")
            for field, values in table.items()
            for why, value in values.items()
        ],
    )


def with_field(body: Json, field: str, value: Any) -> Json:
    others = {name: kept for name, kept in body.items() if name != field}
    return others if value is LEFT_OUT else {**others, field: value}


def send(client: httpx.Client, method: str, path: str, body: Any) -> httpx.Response:
    """``body`` as JSON in ASCII: the only way to write a lone surrogate."""
    content = json.dumps(body).encode("ascii")
    return client.request(method, path, content=content, headers=AS_JSON)


def assert_refused_and_not_kept(
    client: httpx.Client, path: str, good: Json, field: str, value: Any
) -> None:
    bad = with_field(good, field, value)
    assert refused_fields(send(client, "POST", path, bad)) == {field}
    # The address is still free, so nobody was stored.
    record = stored(send(client, "POST", path, good))
    assert refused_fields(send(client, "PUT", f"{path}/{record['id']}", bad)) == {field}
    assert client.get(f"{path}/{record['id']}").json() == record


@each(BAD_PATIENT)
def test_a_patient_with_a_bad_field_is_refused_by_its_name_and_not_kept(
    client: httpx.Client, field: str, value: Any
) -> None:
    assert_refused_and_not_kept(client, "/patients", patient_body(), field, value)


@each(BAD_DOCTOR)
def test_a_doctor_with_a_bad_field_is_refused_by_its_name_and_not_kept(
    client: httpx.Client, field: str, value: Any
) -> None:
    assert_refused_and_not_kept(client, "/doctors", doctor_body(), field, value)


@each(BAD_APPOINTMENT)
def test_an_appointment_with_a_bad_field_is_refused_by_its_name_and_not_kept(
    client: httpx.Client, field: str, value: Any
) -> None:
    patient, doctor = register_patient(client), register_doctor(client)
    good = booking_body(patient, doctor, morning())
    refused = send(client, "POST", "/appointments", with_field(good, field, value))
    assert refused_fields(refused) == {field}
    # The time of both is still free.
    stored(send(client, "POST", "/appointments", good))


@pytest.mark.parametrize(
    ("zone", "date"),
    [
        ("America/New_York", "9999-12-31T23:00:00"),
        ("Pacific/Kiritimati", "0001-01-01T00:30:00"),
        ("UTC", "0001-01-01T00:30:00"),
    ],
)
def test_a_local_time_beyond_either_end_of_the_calendar_is_refused(
    client: httpx.Client, zone: str, date: str
) -> None:
    patient, doctor = register_patient(client), register_doctor(client, timezone=zone)
    refused = book(client, patient, doctor, date)
    assert refused.status_code == 422, refused.text
    problem(refused, 422, refused.json()["code"])


def test_every_bad_field_is_named_at_once(client: httpx.Client) -> None:
    body = {"name": "", "phone": "x", "dob": "x", "shoeSize": 43}
    named = {"name", "phone", "dob", "address", "shoeSize"}
    assert refused_fields(send(client, "POST", "/patients", body)) == named


@pytest.mark.parametrize(
    "name", ["", "\0", "\ud800", "a" * 5000, "email\u0301", "0", "a.b", "__type__"]
)
def test_an_unknown_field_with_an_odd_name_is_refused(client: httpx.Client, name: str) -> None:
    good = patient_body()
    refused_fields(send(client, "POST", "/patients", {**good, name: 1}))
    stored(send(client, "POST", "/patients", good))


@pytest.mark.parametrize(
    "value",
    [
        {"__type__": "datetime", "__value__": "2030-01-01T10:00:00"},
        {"__type__": "uuid", "__value__": {"hex": "no"}},
        {"__type__": "no such type", "__value__": 1},
        {"__type__": [], "__value__": 1},
        {"py/object": "os.system"},
    ],
    ids=str,
)
@pytest.mark.parametrize("field", ["name", "unknown"])
def test_values_that_look_like_the_brokers_own_encoding_are_only_bad_values(
    client: httpx.Client, field: str, value: Any
) -> None:
    good = patient_body()
    refused = send(client, "POST", "/patients", with_field(good, field, value))
    assert refused_fields(refused) == {field}
    stored(send(client, "POST", "/patients", good))


# Cancelling


@pytest.mark.parametrize("reason", ["", " ", "x" * 501, "no\0body", "no\x1bbody"])
def test_a_bad_reason_is_refused_and_nothing_is_cancelled(
    client: httpx.Client, reason: str
) -> None:
    booked = stored(book(client, register_patient(client), register_doctor(client), morning()))
    address = f"/appointments/{booked['id']}"
    refused = client.delete(address, params={"reason": reason})
    assert refused_fields(refused) == {"reason"}
    assert client.get(address).json() == booked


def test_a_query_that_is_not_utf_8_is_a_client_error_and_nothing_is_cancelled(
    system: System, client: httpx.Client
) -> None:
    booked = stored(book(client, register_patient(client), register_doctor(client), morning()))
    address = f"/appointments/{booked['id']}"
    status, _ = raw(system, f"DELETE {address}?reason=\xff\xfe HTTP/1.1".encode("latin-1"))
    assert 400 <= status < 500
    assert client.get(address).json() == booked


# Bodies


UNREADABLE: dict[str, bytes] = {
    "empty": b"",
    "blank": b"  \n",
    "cut off": b'{"name": "Ada',
    "with a comma too many": b'{"name": "Ada",}',
    "in single quotes": b"{'name': 'Ada'}",
    "with text after it": b"{} {}",
    "a form": b"name=Ada&phone=1",
    "with a raw line break in a text": b'{"name": "A\nda"}',
    "with a raw NUL": b'{"name": "A\0da"}',
    "with a key twice": b'{"name": "Ada", "name": "Eva"}',
    "with a key twice, inside": b'{"name": {"a": 1, "a": 2}}',
    "with a key twice, once escaped": b'{"name": "Ada", "\\u006eame": "Eva"}',
    "NaN": b'{"name": NaN}',
    "Infinity": b'{"name": -Infinity}',
    "a list": b"[]",
    "a list of records": b'[{"name": "Ada"}]',
    "a text": b'"Ada"',
    "a number": b"7",
    "null": b"null",
    "in Latin-1": b'{"name": "J\xfcrgen"}',
    "in UTF-16": '{"name": "Ada"}'.encode("utf-16"),
    "with a byte order mark": b'\xef\xbb\xbf{"name": "Ada"}',
    "with an overlong encoding": b'{"name": "\xc0\xaf"}',
    "with an encoded surrogate": b'{"name": "\xed\xa0\x80"}',
    "nested as deep as it is long": b"[" * 60_000,
    "nested deep": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "with a number of 10,000 digits": b'{"name": ' + b"9" * 10_000 + b"}",
    "with a number of 41 digits": b'{"patientId": ' + b"9" * 41 + b"}",
    "with a number beyond all numbers": b'{"patientId": 1e400}',
    "nested 33 levels deep": b'{"a":' * 33 + b"1" + b"}" * 33,
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_a_body_that_is_not_one_json_object_is_unreadable(
    client: httpx.Client, content: bytes
) -> None:
    problem(client.post("/patients", content=content, headers=AS_JSON), 400, "unreadable")


@pytest.mark.parametrize("path", ["/doctors", "/appointments", "/patients/", "/doctors/"])
def test_every_address_that_takes_a_body_refuses_an_unreadable_one(
    client: httpx.Client, path: str
) -> None:
    method, target = ("PUT", f"{path}1") if path.endswith("/") else ("POST", path)
    for content in (b"[]", b'{"a": 1, "a": 1}', b"\xff"):
        problem(client.request(method, target, content=content, headers=AS_JSON), 400, "unreadable")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_of_any_depth_is_a_client_error(
    client: httpx.Client, opening: str, closing: str
) -> None:
    """Around 1,000 lies what Python can read but not always write again."""
    good = patient_body()
    start = json.dumps({**good, "address": 0}).removesuffix("0}")
    for depth in (1, 10, 100, 500, 800, *range(900, 1010, 5)):
        content = f"{start}{opening * depth}1{closing * depth}}}"
        answer = client.post("/patients", content=content, headers=AS_JSON)
        assert answer.status_code in (400, 422), f"{depth}: {answer.text}"
    stored(client.post("/patients", json=good))


@pytest.mark.parametrize(
    "media_type",
    [None, "", "text/plain", "application/x-www-form-urlencoded", "application/json-seq", "json"],
)
def test_a_body_of_another_media_type_is_415(client: httpx.Client, media_type: str | None) -> None:
    good = patient_body()
    headers = {} if media_type is None else {"Content-Type": media_type}
    answer = client.post("/patients", content=json.dumps(good), headers=headers)
    problem(answer, 415, "unsupported_media_type")
    stored(client.post("/patients", json=good))


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;"]
)
def test_the_media_type_may_have_parameters_and_any_case(
    client: httpx.Client, media_type: str
) -> None:
    content = json.dumps(patient_body())
    stored(client.post("/patients", content=content, headers={"Content-Type": media_type}))


def padded(body: Json, size: int) -> bytes:
    content = json.dumps(body).encode()
    return content + b" " * (size - len(content))


def in_chunks(content: bytes) -> Iterator[bytes]:
    stream = io.BytesIO(content)
    return iter(lambda: stream.read(8192), b"")


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "chunked"])
def test_a_body_of_64_kib_is_read(client: httpx.Client, chunked: bool) -> None:
    content = padded(patient_body(), LARGEST_BODY)
    sent = in_chunks(content) if chunked else content
    stored(client.post("/patients", content=sent, headers=AS_JSON))


@pytest.mark.parametrize("size", [LARGEST_BODY + 1, 16 * LARGEST_BODY])
@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "chunked"])
def test_a_larger_body_is_413_and_not_kept(
    client: httpx.Client, chunked: bool, size: int
) -> None:
    good = patient_body()
    content = padded(good, size)
    sent = in_chunks(content) if chunked else content
    problem(client.post("/patients", content=sent, headers=AS_JSON), 413, "too_large")
    stored(client.post("/patients", json=good))


def test_a_length_that_is_no_number_is_a_client_error(system: System) -> None:
    status, _ = raw(
        system,
        b"POST /patients HTTP/1.1",
        b"Content-Type: application/json",
        b"Content-Length: many",
    )
    assert 400 <= status < 500


# Unicode


def test_texts_are_trimmed_and_composed_and_otherwise_kept(client: httpx.Client) -> None:
    sent = "  Zoe\u0308 \U0001f469\u200d\u2695\ufe0f \u5c71\u7530 \u0645\u0631\u064a\u0645 \u2003"
    record = register_patient(client, name=sent, address="1 A\u030a Street\r\n\tTop")
    kept = "\U0001f469\u200d\u2695\ufe0f \u5c71\u7530 \u0645\u0631\u064a\u0645"
    assert record["name"] == f"Zo\u00eb {kept}"
    assert record["address"] == "1 \u00c5 Street\r\n\tTop"
    assert client.get(f"/patients/{record['id']}").json() == record


def test_the_longest_texts_fit_in_any_script(client: httpx.Client) -> None:
    patient = register_patient(client, name="\U0001f9d1" * 200, address="\u5c71" * 500)
    doctor = register_doctor(client, speciality="\U0001fac0" * 100)
    booked = stored(book(client, patient, doctor, morning(), description="\U0001f912" * 2000))
    assert client.get(f"/patients/{patient['id']}").json() == patient
    assert client.get(f"/doctors/{doctor['id']}").json()["speciality"] == "\U0001fac0" * 100
    address = f"/appointments/{booked['id']}"
    assert client.get(address).json()["description"] == "\U0001f912" * 2000


def test_the_longest_reason_fits_in_any_script(client: httpx.Client) -> None:
    booked = stored(book(client, register_patient(client), register_doctor(client), morning()))
    address, reason = f"/appointments/{booked['id']}", "\U0001f637" * 500
    assert client.delete(address, params={"reason": reason}).status_code == 204
    assert client.get(address).json()["cancelReason"] == reason


def test_emails_that_differ_in_composition_only_are_the_same(client: httpx.Client) -> None:
    word = unique()
    register_patient(client, email=f"zoe\u0308.{word}@example.org")
    taken = client.post("/patients", json=patient_body(email=f"ZO\u00cb.{word}@example.org"))
    problem(taken, 409, "email_taken")


# Addresses and methods


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nothing",
        "/patients/1/2",
        "//patients/1",
        "/PATIENTS/1",
        "/patients/%00",
        "/patients/%ff%fe",
        "/patients/1%2f2",
        "/patients/../../etc/passwd",
        "/nothing\u00e4\U0001f600",
        "/" + "x" * 3000,
    ],
)
def test_an_unknown_address_is_404(client: httpx.Client, path: str) -> None:
    problem(client.get(path), 404, "not_found")


@pytest.mark.parametrize("resource", ["patients", "doctors", "appointments"])
@pytest.mark.parametrize(
    "number",
    ["0", "-1", "+1", "1.0", "1e3", "0x1", "%201", "one", "\u0661", str(2**63), "9" * 100],
)
def test_an_id_that_is_no_positive_64_bit_number_is_404(
    client: httpx.Client, resource: str, number: str
) -> None:
    problem(client.get(f"/{resource}/{number}"), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/patients", {"GET", "HEAD", "POST"}),
        ("PATCH", "/patients/1", {"DELETE", "GET", "HEAD", "PUT"}),
        ("DELETE", "/doctors/1", {"GET", "HEAD", "PUT"}),
        ("PUT", "/appointments", {"GET", "HEAD", "POST"}),
        ("POST", "/appointments/1", {"DELETE", "GET", "HEAD", "PATCH"}),
        ("PATCH", "/doctors/1/schedule", {"GET", "HEAD", "PUT"}),
        ("GET", "/doctors/1/time-off/1", {"DELETE"}),
        ("POST", "/slots", {"GET", "HEAD"}),
        ("POST", "/livez", {"GET", "HEAD"}),
        ("BREW", "/readyz", {"GET", "HEAD"}),
    ],
)
def test_a_wrong_method_is_405_and_the_right_ones_are_named(
    client: httpx.Client, method: str, path: str, allowed: set[str]
) -> None:
    answer = client.request(method, path)
    problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == allowed


def test_a_head_is_a_get_without_a_body(client: httpx.Client) -> None:
    address = f"/patients/{register_patient(client)['id']}"
    answer = client.head(address)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(client.get(address).content))


# Headers


def every_kind_of_answer(client: httpx.Client, **headers: str) -> Iterator[httpx.Response]:
    """Answers of each status that a client can bring about, with these headers sent."""
    patient, doctor = register_patient(client), register_doctor(client)
    booking = booking_body(patient, doctor, morning())

    def ask(method: str, path: str, **more: Any) -> httpx.Response:
        return client.request(method, path, headers=headers, **more)

    yield ask("GET", "/livez")
    yield ask("GET", "/readyz")
    yield ask("GET", f"/patients/{patient['id']}")
    yield (booked := ask("POST", "/appointments", json=booking))
    yield ask("POST", "/appointments", json=booking)
    yield ask("DELETE", booked.headers["Location"])
    yield ask("GET", "/nothing")
    yield ask("GET", f"/patients/{2**62}")
    yield ask("DELETE", "/patients")
    yield ask("POST", "/patients", json={})
    yield ask("POST", "/patients", json=[])
    yield ask("POST", "/patients", content="x")
    yield ask("POST", "/patients", json="x" * LARGEST_BODY)


STATUSES = [200, 200, 200, 201, 409, 204, 404, 404, 405, 422, 400, 415, 413]


def test_every_answer_has_the_security_headers_and_errors_are_whole_problems(
    client: httpx.Client,
) -> None:
    answers = list(every_kind_of_answer(client))
    assert [answer.status_code for answer in answers] == STATUSES
    for answer in answers:
        assert SECURITY_HEADERS.items() <= dict(answer_headers(answer)).items()
        if answer.status_code >= 400:
            problem(answer, answer.status_code, answer.json()["code"])
        elif answer.status_code != 204:
            assert answer.headers["Content-Type"] == "application/json"


def answer_headers(answer: httpx.Response) -> Iterator[tuple[str, str]]:
    for name in SECURITY_HEADERS:
        yield name, answer.headers.get(name, "(missing)")


@pytest.mark.parametrize("sent", ["a", "x" * 64, "0af7651916cd43dd8448eb211c80319c", "A.b_c-9"])
def test_a_sane_correlation_id_comes_back_with_every_answer(
    client: httpx.Client, sent: str
) -> None:
    answers = list(every_kind_of_answer(client, **{"X-Correlation-Id": sent}))
    assert [answer.headers["X-Correlation-Id"] for answer in answers] == [sent] * len(answers)
    for answer in answers:
        if answer.status_code >= 400:
            assert answer.json()["correlationId"] == sent


@pytest.mark.parametrize(
    "sent",
    ["", "x" * 65, "x" * 4000, "a b", "a\tb", 'a"b', "<script>", "a,b", "a;b", "\u00e9", "%0a"],
)
def test_an_odd_correlation_id_is_replaced(client: httpx.Client, sent: str) -> None:
    headers = {"X-Correlation-Id": sent.encode("utf-8")}
    made = [client.get("/livez", headers=headers).headers["X-Correlation-Id"] for _ in range(2)]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{16,64}", word) for word in made)
    assert len({*made, sent}) == 3


def test_requests_without_a_correlation_id_get_one_each(client: httpx.Client) -> None:
    words = {client.get("/livez").headers["X-Correlation-Id"] for _ in range(5)}
    assert len(words) == 5


def raw(system: System, *lines: bytes) -> tuple[int, bytes]:
    """Status and whole answer to a request that no client library would send."""
    address = urlsplit(system.url)
    head = b"\r\n".join([*lines, b"Host: clinic", b"Connection: close", b"", b""])
    where = address.hostname or "", address.port or 0
    with socket.create_connection(where, timeout=PATIENCE) as way:
        way.sendall(head)
        answer = b"".join(iter(lambda: way.recv(65536), b""))
    return int(answer.split(b" ", 2)[1]), answer


def test_a_line_break_in_a_header_adds_no_header_to_the_answer(system: System) -> None:
    word = unique().encode()
    for line_break in (b"\n", b"\r"):
        header = b"X-Correlation-Id: abc" + line_break + b" Set-Cookie: " + word
        _, answer = raw(system, b"GET /livez HTTP/1.1", header)
        assert word not in answer


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([b"X-%d: 1" % number for number in range(10_000)], id="10,000 headers"),
        pytest.param([b"X-Long: " + b"x" * 100_000], id="a header of 100,000 bytes"),
    ],
)
def test_more_headers_than_anybody_needs_are_a_client_error(
    system: System, client: httpx.Client, lines: list[bytes]
) -> None:
    try:
        status, _ = raw(system, b"GET /livez HTTP/1.1", *lines)
    except (ConnectionResetError, BrokenPipeError):
        pass  # cut off while it was still talking
    else:
        assert 400 <= status < 500
    assert client.get("/livez").status_code == 200

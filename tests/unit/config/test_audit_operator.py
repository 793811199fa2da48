"""What an operator's call leaves in the trail; every service says whose data it holds."""

from types import SimpleNamespace

import pytest
from nameko.rpc import Rpc

from config.messaging.operator_audit import entries
from config.programs import catalogue
from schemas import errors

SERVICES = [each for each in catalogue().programs if not each.name.endswith("background")]


class Things:
    """Methods to be called, by the names of their parameters."""

    def get(self, thing_id): ...

    def create(self, thing): ...

    def find(self): ...

    def export(self, person_id): ...

    def have_met(self, other_id, person_id): ...


def recorded(method, *args, result=None, error=None, subject=("person", "personId"), **kwargs):
    """(resource, subject, outcome) of each entry."""
    entrypoint = Rpc(expected_exceptions=errors.SchedulingError)
    entrypoint.method_name = method
    worker = SimpleNamespace(
        service_name="thing",
        entrypoint=entrypoint,
        args=args,
        kwargs=kwargs,
        data={"correlation_id": "abc"},
        container=SimpleNamespace(config={"CALL_SECONDS": 5}, service_cls=Things),
    )
    exc_info = error and (type(error), error, None)
    made = entries(worker, result, exc_info, subject=subject)
    assert {(each.actor_role, each.action, each.correlation_id) for each in made} == {
        ("operator", f"thing.{method}", "abc")
    }
    return [(each.resource, each.subject, each.outcome) for each in made]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_service_says_whose_data_it_holds(service):
    kind, member = service.service().subject
    assert kind and member


def test_a_record_names_its_person():
    assert recorded("get", 5, result={"id": 5, "personId": 12}) == [
        ("thing/5", "person/12", "ok")
    ]


def test_what_was_made_is_named_by_the_result():
    made = {"id": 5, "personId": 12}
    assert recorded("create", {"personId": 12}, result=made) == [("thing/5", "person/12", "ok")]


def test_an_argument_by_name_counts_as_well():
    assert recorded("get", thing_id=5, result=None) == [("thing/5", None, "ok")]


def test_a_list_leaves_one_entry_for_each_person():
    result = {"items": [{"personId": 1}, {"personId": 2}, {"personId": 1}, {}, "odd"]}
    assert recorded("find", result=result) == [(None, "person/1", "ok"), (None, "person/2", "ok")]


def test_a_bare_list_leaves_one_entry_for_each_person_too():
    result = [{"id": 5, "personId": 1}, {"id": 6, "personId": 2}]
    assert recorded("export", 1, result=result) == [
        (None, "person/1", "ok"), (None, "person/2", "ok")
    ]


def test_who_was_asked_for_is_named_though_nothing_was_found():
    assert recorded("export", 12, result=[]) == [(None, "person/12", "ok")]
    assert recorded("have_met", 3, 12, result=True) == [(None, "person/12", "ok")]
    assert recorded("have_met", 3, person_id=12, result=False) == [(None, "person/12", "ok")]


def test_a_refusal_leaves_its_code():
    refusal = errors.PatientNotFound("5")
    assert recorded("get", 5, error=refusal) == [("thing/5", None, "not_found")]


def test_a_failure_leaves_its_class():
    assert recorded("get", 5, error=KeyError("Ada")) == [("thing/5", None, "KeyError")]


def test_the_code_of_an_error_that_is_not_ours_means_nothing():
    failure = OSError("Ada")
    failure.code = "Ada"
    assert recorded("get", 5, error=failure) == [("thing/5", None, "OSError")]


def test_where_the_records_are_people_a_refusal_names_who_was_asked_for():
    refusal = errors.PatientNotFound("5")
    assert recorded("get", 5, error=refusal, subject=("thing", "id")) == [
        ("thing/5", "thing/5", "not_found")
    ]


def test_what_belongs_to_a_person_is_not_taken_for_one():
    for result in ({"id": 7}, {"items": [{"id": 7}, {"id": 8}]}):
        assert recorded("get", 5, result=result, subject=("thing", "id")) == [
            ("thing/5", "thing/5", "ok")
        ]


@pytest.mark.parametrize("argument", [True, "5", 10**30, -1, None, [5], {"id": 5}])
def test_what_is_no_id_is_not_taken_for_one(argument):
    assert recorded("get", argument) == [(None, None, "ok")]
    assert recorded("get", result={"id": argument, "personId": argument}) == [(None, None, "ok")]

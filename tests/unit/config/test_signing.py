"""A ring signs with its newest key; all of them verify."""

import pytest
from itsdangerous import BadSignature, URLSafeSerializer

from config.keys import KeyRing, parse_ring
from config.signing import signing_keys

NEW = "2:hTq0bVx4ZkR7mWc9JfNs2LgYpD5aEu8i"
OLD = "1:Zp3rKd8sWq1vXn6yBt4mHc9gLf2jUa7e"


def serializer(ring, purpose="test"):
    return URLSafeSerializer(signing_keys(parse_ring(ring), purpose), salt=purpose)


def test_what_an_old_key_signed_verifies_until_the_key_is_removed():
    signed = serializer(OLD).dumps("Ada")
    assert serializer(f"{NEW},{OLD}").loads(signed) == "Ada"
    with pytest.raises(BadSignature):
        serializer(NEW).loads(signed)


def test_the_first_key_of_the_ring_signs():
    signed = serializer(f"{NEW},{OLD}").dumps("Ada")
    assert serializer(NEW).loads(signed) == "Ada"
    with pytest.raises(BadSignature):
        serializer(OLD).loads(signed)


def test_what_was_signed_for_one_purpose_is_good_for_no_other():
    assert not set(signing_keys(parse_ring(NEW), "a")) & set(signing_keys(parse_ring(NEW), "b"))


def test_an_empty_ring_signs_nothing():
    assert signing_keys(KeyRing(), "test") == []

"""Who may do what on whose records, by hand, from the contract."""

import re

from gateway.routes import Route

WHO = (
    "nobody", "patient A", "patient B", "doctor A", "doctor B", "staff", "admin", "disabled",
    "signed out",
)
# By hand, from the contract. Patient A has an appointment with doctor A; patient B had one with
# doctor A that was cancelled. The last two were administrators and still have their tokens.
MATRIX = {
    #                         nobody  patients  doctors  staff admin disabled signed out
    "POST /patients": {
        "with a password":       "201  201 201  201 201  201  201  401 401",
        "without a password":    "422  403 403  403 403  201  201  401 401",
    },
    "GET /patients": {
        "patient A's":           "401  403 403  403 403  200  200  401 401",
    },
    "GET /patients/{id}": {
        "patient A's":           "401  200 404  200 404  200  200  401 401",
        "patient B's":           "401  404 200  404 404  200  200  401 401",
        "nobody's":              "401  404 404  404 404  404  404  401 401",
    },
    "PUT /patients/{id}": {
        "patient A's":           "401  200 404  403 403  200  200  401 401",
        "nobody's":              "401  404 404  403 403  404  404  401 401",
    },
    "GET /patients/{id}/export": {
        "patient A's":           "401  200 404  403 403  403  200  401 401",
        "nobody's":              "401  404 404  403 403  403  404  401 401",
    },
    "DELETE /patients/{id}": {
        "patient A's":           "401  202 404  403 403  403  202  401 401",
        "nobody's":              "401  404 404  403 403  403  404  401 401",
    },
    "PUT /patients/{id}/legal-hold": {
        "patient A's":           "401  403 403  403 403  403  204  401 401",
        "nobody's":              "401  403 403  403 403  403  404  401 401",
    },
    "DELETE /patients/{id}/legal-hold": {
        "patient A's":           "401  403 403  403 403  403  204  401 401",
        "nobody's":              "401  403 403  403 403  403  404  401 401",
    },
    "GET /patients/{id}/access-log": {
        "patient A's":           "401  200 404  403 403  403  200  401 401",
        # That of somebody who was erased can still be looked at.
        "nobody's":              "401  404 404  403 403  403  200  401 401",
    },
    "POST /doctors": {
        "a new one's":           "401  403 403  403 403  403  201  401 401",
    },
    "GET /doctors": {
        "doctor A's":            "401  200 200  200 200  200  200  401 401",
    },
    "GET /doctors/{id}": {
        "doctor A's":            "401  200 200  200 200  200  200  401 401",
        "nobody's":              "401  404 404  404 404  404  404  401 401",
    },
    "PUT /doctors/{id}": {
        "doctor A's":            "401  403 403  200 404  403  200  401 401",
        "nobody's":              "401  403 403  404 404  403  404  401 401",
    },
    "GET /doctors/{id}/schedule": {
        "doctor A's":            "401  200 200  200 200  200  200  401 401",
        "nobody's":              "401  404 404  404 404  404  404  401 401",
    },
    "PUT /doctors/{id}/schedule": {
        "doctor A's":            "401  403 403  200 404  200  200  401 401",
        "nobody's":              "401  403 403  404 404  404  404  401 401",
    },
    "POST /doctors/{id}/time-off": {
        "doctor A's":            "401  403 403  201 404  201  201  401 401",
        "nobody's":              "401  403 403  404 404  404  404  401 401",
    },
    "GET /doctors/{id}/time-off": {
        "doctor A's":            "401  403 403  200 404  200  200  401 401",
        "nobody's":              "401  403 403  404 404  404  404  401 401",
    },
    "DELETE /doctors/{id}/time-off/{id}": {
        "doctor A's":            "401  403 403  204 404  204  204  401 401",
        "nobody's":              "401  403 403  404 404  404  404  401 401",
    },
    "GET /doctors/{id}/slots": {
        "doctor A's":            "401  200 200  200 200  200  200  401 401",
        "nobody's":              "401  404 404  404 404  404  404  401 401",
    },
    "GET /doctors/{id}/slots/explain": {
        "doctor A's":            "401  200 200  200 200  200  200  401 401",
        "nobody's":              "401  404 404  404 404  404  404  401 401",
    },
    "GET /slots": {
        "everybody's":           "401  200 200  200 200  200  200  401 401",
    },
    "POST /appointments": {
        "patient A's":           "401  201 422  403 403  201  201  401 401",
        "one's own":             "401  201 201  403 403  422  422  401 401",
        "nobody's":              "401  422 422  403 403  422  422  401 401",
    },
    # Patients and doctors are shown their own, whomever they ask for.
    "GET /appointments": {
        "patient A's":           "401  200 200  200 200  200  200  401 401",
    },
    "GET /appointments/{id}": {
        "patient A's with doctor A": "401  200 404  200 404  200  200  401 401",
        "patient A's":           "401  200 404  404 404  200  200  401 401",
        "doctor A's":            "401  404 404  200 404  200  200  401 401",
        "nobody's":              "401  404 404  404 404  404  404  401 401",
    },
    "GET /appointments/{id}/history": {
        "patient A's with doctor A": "401  200 404  200 404  200  200  401 401",
        "patient A's":           "401  200 404  404 404  200  200  401 401",
        "doctor A's":            "401  404 404  200 404  200  200  401 401",
        "nobody's":              "401  404 404  404 404  404  404  401 401",
    },
    "GET /appointments/{id}/calendar.ics": {
        "patient A's with doctor A": "401  200 404  200 404  200  200  401 401",
        "patient A's":           "401  200 404  404 404  200  200  401 401",
        "doctor A's":            "401  404 404  200 404  200  200  401 401",
        "nobody's":              "401  404 404  404 404  404  404  401 401",
    },
    "PATCH /appointments/{id}": {
        "patient A's with doctor A": "401  200 404  403 403  200  200  401 401",
        "patient A's":           "401  200 404  403 403  200  200  401 401",
        "doctor A's":            "401  404 404  403 403  200  200  401 401",
        "nobody's":              "401  404 404  403 403  404  404  401 401",
    },
    "POST /appointments/{id}/status": {
        "patient A's with doctor A": "401  403 403  200 404  200  200  401 401",
        "patient A's":           "401  403 403  404 404  200  200  401 401",
        "doctor A's":            "401  403 403  200 404  200  200  401 401",
        "nobody's":              "401  403 403  404 404  404  404  401 401",
    },
    "DELETE /appointments/{id}": {
        "patient A's with doctor A": "401  204 404  204 404  204  204  401 401",
        "patient A's":           "401  204 404  404 404  204  204  401 401",
        "doctor A's":            "401  404 404  204 404  204  204  401 401",
        "nobody's":              "401  404 404  404 404  404  404  401 401",
    },
    # A token that is no longer good keeps nobody from signing in.
    "POST /auth/login": {
        "patient A's":           "200  200 200  200 200  200  200  200 200",
    },
    "POST /auth/refresh": {
        "patient A's":           "200  200 200  200 200  200  200  200 200",
    },
    "POST /auth/logout": {
        "one's own":             "401  204 204  204 204  204  204  401 401",
    },
    "POST /auth/password": {
        "one's own":             "401  204 204  204 204  204  204  401 401",
    },
    "GET /me": {
        "one's own":             "401  200 200  200 200  200  200  401 401",
    },
    "POST /accounts": {
        "a new one's":           "401  403 403  403 403  403  201  401 401",
    },
    "GET /accounts": {
        "everybody's":           "401  403 403  403 403  403  200  401 401",
    },
    "PATCH /accounts/{id}": {
        "patient A's":           "401  403 403  403 403  403  200  401 401",
        "nobody's":              "401  403 403  403 403  403  404  401 401",
    },
    "GET /audit": {
        "everybody's":           "401  403 403  403 403  403  200  401 401",
    },
    "GET /livez": {
        "nobody's":              "200  200 200  200 200  200  200  200 200",
    },
    "GET /readyz": {
        "nobody's":              "200  200 200  200 200  200  200  200 200",
    },
}
# What a refusal with the status 422 is called.
CODES = {
    ("POST /patients", "without a password"): "invalid",
    ("POST /appointments", "patient A's"): "unknown_patient",
    ("POST /appointments", "nobody's"): "unknown_patient",
    ("POST /appointments", "one's own"): "invalid",
}
# Whichever version there is: whose turn it is to change it is not asked here.
CONDITIONS: dict[str, dict[str, str]] = dict.fromkeys(
    ("PUT /doctors/{id}/schedule", "PATCH /appointments/{id}"), {"If-Match": "*"}
)
# Whoever sends these, no token is looked at.
UNASKED = ("POST /auth/login", "POST /auth/refresh")
REFUSALS = {401: "unauthenticated", 403: "forbidden", 404: "not_found"}


def contract_name(route: Route) -> str:
    return f"{route.method} {re.sub('<[^>]*>', '{id}', route.path)}"

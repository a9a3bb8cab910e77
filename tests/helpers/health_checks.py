"""Hypothesis's checks that do not hold here, for properties that take a fixture."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# what the profile leaves out, and that a fixture is made once for all draws: each draw makes what it needs of it
WITH_FIXTURE = (*settings().suppress_health_check, HealthCheck.function_scoped_fixture)

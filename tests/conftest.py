"""What holds for the whole suite."""

import os

import hypothesis

# it starts a dozen brokers for a short time each: a JVM that compiles less is up in two thirds of the time
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

# a red run says something of the change, not of the draw: others are tried with HYPOTHESIS_PROFILE=default
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

# its module imports a project's sources, which are on the path of the test that uses it only
collect_ignore = ["helpers/wine_policies.py"]

"""What holds for the whole suite."""

import os

# it starts a dozen brokers for a short time each: a JVM that compiles less is up in two thirds of the time
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

# its module imports a project's sources, which are on the path of the test that uses it only
collect_ignore = ["helpers/wine_policies.py"]

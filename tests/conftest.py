"""The suite starts a dozen brokers for a short time each: a JVM that compiles less is up in two thirds of the time."""

import os

os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

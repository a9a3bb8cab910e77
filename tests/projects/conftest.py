"""What is no test: a project's own folder, whose modules are run as its stages."""

collect_ignore = ["arrival_delay"]

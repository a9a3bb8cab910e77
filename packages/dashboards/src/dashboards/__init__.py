"""Atalaia's Grafana dashboards, as code: ``python -m dashboards.generate`` writes the JSON that Grafana is given."""

import warnings

# The SDK prefers the schema of Grafana 12 and later; this one is provisioned from files by 10 to 13.
warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)

"""Commands of the dashboards."""

"""Tags for the templates of the dashboards."""

"""What a deployment shows of itself: the catalogue of metrics, dashboards and alerts as code, the report."""

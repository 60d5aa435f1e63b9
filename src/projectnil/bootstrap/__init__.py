"""The only place that picks concrete parts, and starts and stops them."""

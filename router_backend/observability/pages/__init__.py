"""What the four dashboards show: one module a dashboard."""

from router_backend.observability.pages.capacity import CAPACITY
from router_backend.observability.pages.overview import OVERVIEW
from router_backend.observability.pages.routing import ROUTING
from router_backend.observability.pages.upstreams import UPSTREAMS

PAGES = {"overview": OVERVIEW, "routing": ROUTING, "upstreams": UPSTREAMS, "capacity": CAPACITY}

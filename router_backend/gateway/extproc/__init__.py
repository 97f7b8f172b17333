"""The router inside an existing mesh: Envoy's external processor. Envoy carries the request; we choose its model."""

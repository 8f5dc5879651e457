"""HTTP: one module a resource. Parse, one await, render; the wire's structs live beside the view that speaks them."""

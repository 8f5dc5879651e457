"""How well the knowledge indexes find what a question asks for."""

"""Django's ORM, for what is not on the way of a turn."""

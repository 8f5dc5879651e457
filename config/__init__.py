"""The Django project and the composition root: the only package that knows every part."""

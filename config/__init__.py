"""The Django project and the composition root: the only package that knows every part."""

from config.lean_imports import install

install()  # here, because whatever starts comes by before it imports anything else

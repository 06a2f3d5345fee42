"""A Django application: in INSTALLED_APPS, it makes `manage.py runserver` serve ASGI with pronghorn."""

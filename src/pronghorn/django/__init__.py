"""A Django application. In INSTALLED_APPS, it makes `manage.py runserver` serve ASGI with pronghorn."""

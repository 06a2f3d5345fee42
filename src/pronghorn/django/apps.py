"""The configuration of the Django application."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.core import checks


class PronghornConfig(AppConfig):
    name = "pronghorn.django"
    label = "pronghorn"
    verbose_name = "pronghorn"

    def ready(self) -> None:
        checks.register(check_order)


def check_order(app_configs: Any, **kwargs: Any) -> list[Any]:
    """Check that our `runserver` wins: of two commands with the same name, Django takes the first application's."""
    names = [config.name for config in apps.get_app_configs()]
    theirs = "django.contrib.staticfiles"
    if theirs not in names or names.index("pronghorn.django") < names.index(theirs):
        return []
    return [
        checks.Warning(
            f"'{theirs}' comes before 'pronghorn.django' in INSTALLED_APPS, so its runserver is used.",
            hint="Put 'pronghorn.django' first.",
            id="pronghorn.W001",
        )
    ]

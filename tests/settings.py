"""The project's settings, and an app with counters that production has no need of."""

from sentinel.settings import *  # noqa: F403
from sentinel.settings import INSTALLED_APPS as PROJECT_APPS

INSTALLED_APPS = [*PROJECT_APPS, "tests.library"]

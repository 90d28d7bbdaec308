"""The project's settings, with the peers that are written with Django's ORM.

They are kept out of the test suite's settings: django-computedfields listens to every model.
"""

import importlib.util
import os
import tempfile

os.environ.setdefault("SENTINEL_LOG_FOLDER", f"{tempfile.gettempdir()}/sentinel-benchmarks")

# Not the test suite's: both may run at once.
os.environ.setdefault("TEST_DATABASE_NAME", "sentinel_benchmarks")

from sentinel.settings import *  # noqa: F403 (they read the environment)
from sentinel.settings import INSTALLED_APPS as PROJECT_APPS

# An extra, `bench`: without it this one peer is left out.
COMPUTED_FIELDS = ["computedfields"] if importlib.util.find_spec("computedfields") else []

INSTALLED_APPS = [*PROJECT_APPS, *COMPUTED_FIELDS, "tests.benchmarks.orm"]
LOGGING = {}
# Half of a Django process's time would be spent on keeping the text of each query.
DEBUG = False

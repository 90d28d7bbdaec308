"""The project's settings, and an app with counters that production has no need of.

The suite logs nowhere, and neither do the commands and servers that it starts.
"""

import os
import tempfile

os.environ.setdefault("SENTINEL_LOG_FOLDER", f"{tempfile.gettempdir()}/sentinel-tests")

from sentinel.settings import *  # noqa: F403 (they read the environment)
from sentinel.settings import INSTALLED_APPS as PROJECT_APPS

INSTALLED_APPS = [*PROJECT_APPS, "tests.library"]
LOGGING = {}
# A thread that writes a little later would write into whichever test runs then.
SENTINEL_COUNT_REFUSALS = False

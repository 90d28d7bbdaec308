"""Django's settings of what pages may load, who may try passwords, and how long a log-in lasts.

`docs/dashboards.md` gives the reasons for what the policy allows beyond `'self'`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from csp import constants as csp

SESSION_COOKIE_AGE = 12 * 60 * 60  # seconds, a working day: tomorrow it is asked again who it is

# Too many wrong passwords from one address are a pause. The address alone counts: were it the
# account, anybody could lock out anybody; were it both together, one address could try a common
# password on every account.
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: it lets nobody through who has to wait
    "django.contrib.auth.backends.ModelBackend",
]
AXES_LOCKOUT_PARAMETERS = ["ip_address"]
AXES_CLIENT_IP_CALLABLE = "sentinel.web.addresses.client_address"
AXES_FAILURE_LIMIT = 10  # more than somebody types who has forgotten a password
AXES_COOLOFF_TIME = timedelta(minutes=15)  # forty guesses an hour are none
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # who tries during the pause waits no longer
AXES_RESET_ON_SUCCESS = True
AXES_USERNAME_FORM_FIELD = "username"  # so log-in forms call it, whatever the model does
AXES_LOCKOUT_CALLABLE = "sentinel.dashboards.login_pause.show_pause"
AXES_DISABLE_ACCESS_LOG = True  # when colleagues log in is not collected
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False  # no line at each start

# Nothing from other hosts, and no script but from files of ours.
CONTENT_SECURITY_POLICY: dict[str, Any] = {
    "DIRECTIVES": {
        "default-src": [csp.NONE],
        "script-src": [csp.SELF, csp.UNSAFE_EVAL],  # the theme's Alpine evaluates attributes
        "style-src": [csp.SELF, csp.UNSAFE_INLINE],  # its colours and widths stand in pages
        "img-src": [csp.SELF, "data:"],  # pictures within the theme's style sheets
        "font-src": [csp.SELF],
        "connect-src": [csp.SELF],
        "manifest-src": [csp.SELF],
        "form-action": [csp.SELF],
        "base-uri": [csp.NONE],
        "frame-ancestors": [csp.NONE],
        "object-src": [csp.NONE],
    }
}

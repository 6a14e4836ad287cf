"""`manage.py welcome`: where the running product is, who may log in, where to look first."""

from __future__ import annotations

import contextlib
import http.client
import time
from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from scheduler_project.first_start import ADMIN, PASSWORD_FILE, known_password

PATIENCE = 60  # seconds


def _reachable(host: str) -> str:
    """Return where to reach a server that listens there, which may be on every address."""
    with contextlib.suppress(ValueError):  # a name
        if ip_address(host).is_unspecified:
            return "localhost"
    return host


class Command(BaseCommand):
    """Wait until the web server answers, then print how to get in."""

    help = "Print the address of the running product, the user and the password."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it once the web server answers."""
        host = _reachable(settings.HOST)
        self._wait_for_web(host, settings.PORT)
        base = f"http://{f'[{host}]' if ':' in host else host}:{settings.PORT}"
        password = known_password()
        kept = f"(kept in {PASSWORD_FILE})" if password else ""
        self.stdout.write(
            "\n"
            f"  The product is ready: {base}/admin/\n"
            f"    user      {ADMIN}\n"
            f"    password  {password or 'as you set it; a new one: manage.py changepassword admin'} {kept}\n"
            "\n"
            "  Look first at Schedules: breaking-news runs every 10 seconds, and its runs are under Runs.\n"
            "  Ctrl-C stops everything; nothing is lost.\n"
        )

    def _wait_for_web(self, host: str, port: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            connection = http.client.HTTPConnection(host, port, timeout=5)
            try:
                connection.request("GET", "/admin/login/")
                if connection.getresponse().status < 500:
                    return
            except OSError:
                pass
            finally:
                connection.close()
            if time.monotonic() > deadline:
                raise CommandError(f"No web server answers on {host}:{port}; start it with `make run`.")
            time.sleep(0.1)

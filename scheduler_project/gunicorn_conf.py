"""How gunicorn serves the project. WEB_CONCURRENCY, GUNICORN_CMD_ARGS are read by gunicorn itself."""

from __future__ import annotations

from scheduler_project import env

_host = env.text("HOST", default="127.0.0.1")
_port = env.whole_number("PORT", default=8000, minimum=1, maximum=65535)

bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"
worker_class = "gthread"
workers = 2
threads = 4
graceful_timeout = 4  # seconds; honcho kills after five
control_socket_disable = True  # nobody uses it, and it would lie in the home directory

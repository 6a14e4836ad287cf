#!/usr/bin/env python
"""Django's command line, with one clear line where Redis or a setting is missing."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
    from scheduler_project.command_line import execute

    sys.exit(execute(sys.argv))

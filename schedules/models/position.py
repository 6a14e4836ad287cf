"""How far the ledger has read the event stream."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class LedgerPosition(models.Model):
    """The last record of a stream whose events are in the ledger; written in the same transaction as their rows.

    Records that are delivered again, after a crash between commit and acknowledgement, are known by it; and two
    keepers that believe they keep at once cannot both move it, so that none of them writes twice.
    """

    stream = models.CharField(_("stream"), max_length=200, primary_key=True)
    last_id = models.CharField(_("last record"), max_length=50, default="0-0")

    class Meta:
        verbose_name = _("ledger position")
        verbose_name_plural = _("ledger positions")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.stream} {self.last_id}"
